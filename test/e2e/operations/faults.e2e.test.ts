/** Logins and messages at the limits of what nats-server takes, and logins while no callout is there: clear refusals, and nobody else notices. */
import assert from "node:assert/strict";
import { connect as connectTcp } from "node:net";
import { errors, type NatsConnection } from "@nats-io/nats-core";
import { runAuthcallout } from "../../../authcallout/main.ts";
import { sessionKey } from "../../../client/identity.ts";
import { sessionId } from "../../../client/mod.ts";
import { subjectsOf } from "../../../core/subjects.ts";
import { HEADER } from "../../../core/wire/wire.ts";
import { until } from "../../../dev/testing/until.ts";
import { createScope } from "../../../runtime/scope.ts";
import { hostService } from "../../../runtime/service-host.ts";
import { DEFAULT_LIMITS } from "../../../streams-config/server-conf.ts";
import { LOG_MESSAGE_BYTES } from "../../../streams-config/streams.ts";
import { noticesTo } from "../../support/checks/listener.ts";
import { answered, Logins } from "../../support/checks/logins.ts";
import { People } from "../../support/checks/people.ts";
import { connectLine, isAdmitted } from "../../support/clients/raw-client.ts";
import { startTestStack, type TestStack } from "../../support/worlds/stack.ts";

const MIB = 1024 * 1024;
/** An answer with so many grants, each of that depth, is larger than a mebibyte, for permissions are written in base64 twice. */
const [GRANTS, DEPTH] = [600, 40];
const { api, log } = subjectsOf("zzzzz");

describe("at the limits of nats-server", () => {
  let stack: TestStack;
  const scope = createScope();
  const logins = new Logins(() => stack);
  const people = new People(() => stack, logins);
  const alice = () => stack.cluster.users.alice.token.v2;

  before(async () => {
    // Nobody is an audience of itself: what would be too much for nats-server is granted.
    stack = await startTestStack({ log: logins.log, overrides: { grantsMax: 100_000 } });
  });
  after(async () => {
    await scope.close();
    await stack?.[Symbol.asyncDispose]();
  });
  afterEach(async () => assert.equal((await logins.whoIs(alice())).token_uuid, stack.cluster.users.alice.token.uuid));

  describe("a login", () => {
    it("with a CONNECT of nearly a mebibyte is refused by nats-server in words", async () => {
      const { hostname, port } = new URL(stack.nats.url);
      const socket = connectTcp(Number(port), hostname);
      let said = "";
      socket.setEncoding("utf8").on("data", (text: string) => {
        said += text;
      });
      socket.on("error", () => {});
      const closed = new Promise((resolve) => socket.once("close", resolve));
      socket.write(`${connectLine({ auth_token: `v2/zzzzz-gj3su-000000000000000/${"x".repeat(MIB - 200)}` })}PING\r\n`);
      await closed;
      assert.match(said, /-ERR 'maximum control line exceeded'/i);
      assert.ok(
        !(await isAdmitted(stack.nats.websocketUrl, { auth_token: "x".repeat(4_000) })),
        "and by us below that",
      );
      assert.ok(await isAdmitted(stack.nats.websocketUrl, { auth_token: alice() }), "negative control");
    });

    it("whose answer would be larger than nats-server takes is refused, and says whose", async () => {
      const user = await people.user();
      // Far below, so that a few make it long.
      await stack.arvados.tx(async (_, tx) => {
        const project = (i: string) => `'zzzzz-j7d0g-' || lpad((${i})::text, 15, '0')`;
        const owner = `CASE WHEN i = 1 THEN $1 ELSE ${project(`least(i - 1, ${DEPTH})`)} END`;
        const each = (from: number) => `FROM generate_series(${from}, ${DEPTH + GRANTS}) AS i`;
        await tx.query(
          `INSERT INTO groups (uuid, owner_uuid, name, group_class, created_at, updated_at)
           SELECT ${project("i")}, ${owner}, 'p' || i, 'project', now(), now() ${each(1)}`,
          [people.alice],
        );
        await tx.query(
          `INSERT INTO links (uuid, owner_uuid, link_class, name, tail_uuid, head_uuid, created_at, updated_at)
           SELECT replace(${project("i")}, 'j7d0g', 'o0j2j'), $1, 'permission', 'can_read', $2, ${project("i")}, now(), now()
           ${each(DEPTH + 1)}`,
          [stack.arvados.known.rootUser, user],
        );
      });
      const { v2 } = await stack.arvados.issueToken(user);
      await logins.isKnown((await stack.arvados.issueToken(people.alice)).v2);
      assert.equal(await logins.refusalOf(() => logins.login(v2)), "answer.too_large");
      const line = logins.lines.findLast((one) => one.includes("answer.too_large")) ?? "";
      const { user: whose, count, bytes } = JSON.parse(line) as { user: string; count: number; bytes: number };
      assert.ok(whose === user && count > GRANTS && bytes > MIB - 1_024, line);
    });
  });

  describe("a message", () => {
    async function asContainer(): Promise<{ nc: NatsConnection; write(bytes: number): Promise<object> }> {
      const { nc } = await logins.login(stack.cluster.container.token.withContainer);
      const subject = log(stack.cluster.container.uuid, "stdout.txt");
      const write = async (bytes: number) =>
        (await nc.request(subject, new Uint8Array(bytes), { timeout: 5_000 })).json<object>();
      return { nc, write };
    }

    it("of a log goes through up to what LOGS takes, and above that is refused in words", async () => {
      const { nc, write } = await asContainer();
      assert.ok("seq" in (await write(LOG_MESSAGE_BYTES)));
      for (const bytes of [LOG_MESSAGE_BYTES + 1, 100 * 1024]) {
        const { error } = (await write(bytes)) as { error?: { description: string } };
        assert.match(error?.description ?? "", /message size exceeds/);
      }
      assert.ok("seq" in (await write(1)), "the session lives on");
      await nc.close();
    });

    it("larger than a user's may be ends the session that sends it nevertheless", async () => {
      const { nc } = await asContainer();
      nc.info!.max_payload = 2 * MIB;
      nc.publish(log(stack.cluster.container.uuid, "stdout.txt"), new Uint8Array(DEFAULT_LIMITS.appPayload + 1));
      await nc.closed();
    });

    it("to a verb is refused in words, however large it may be", async () => {
      const sid = sessionId();
      const login = await logins.login(alice(), sid);
      await answered(login);
      for (const verb of ["tail", "more", "stop"] as const) {
        const subject = api(await sessionKey(alice(), sid), verb);
        const answer = await login.nc.request(subject, new Uint8Array(100 * 1024).fill(120), { timeout: 5_000 });
        assert.equal(answer.headers?.get(HEADER.error), "verb.body", verb);
      }
      await login.nc.close();
    });
  });

  // Last: the callout is another one afterwards.
  describe("without a callout", () => {
    it("logins are refused after nats-server's own time, open sessions stay, and with a callout logins work again", async () => {
      const one = await people.withOwn();
      const session = await people.hearing(one);
      await stack.services.authcallout.drain();
      const begun = performance.now();
      await assert.rejects(logins.login(alice()), (error) => error instanceof errors.AuthorizationError);
      assert.ok(performance.now() - begun > 0.9 * stack.config.authTimeout);
      const before = session.about(one.sees).length;
      await people.update(one.sees);
      await until(() => session.about(one.sees).length > before, "what was committed meanwhile");

      // Which shows, too, who it is that ends a session with a token whose end was set after its login.
      const end = Date.now() + 1_000;
      const at = new Date(end).toISOString().replace("Z", "");
      await people.raw("UPDATE api_client_authorizations SET expires_at = $2 WHERE uuid = $1", one.tokenUuid, at);
      await until(() => Date.now() > end, "the token's end");
      await session.nc.flush();
      assert.ok(!session.nc.isClosed(), "not nats-server");
      await people.update(one.sees);
      const { config } = stack;
      await hostService({ name: "authcallout", start: runAuthcallout, config, log: logins.log, scope });
      await session.nc.closed();
      assert.deepEqual([noticesTo(session), session.about(one.sees).length], [["tokenEnded"], before + 1]);
    });
  });
});
