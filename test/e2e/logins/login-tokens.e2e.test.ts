/** Every kind of token there is, at a real nats-server: whom it lets in as whom, and why it lets nobody in. */
import assert from "node:assert/strict";
import { connect } from "@nats-io/transport-node";
import { runAuthcallout } from "../../../authcallout/main.ts";
import { sessionId } from "../../../client/mod.ts";
import { oidcSecret, saltedSecret } from "../../../core/token/token.ts";
import type { Transaction } from "../../../dev/simulator/index.ts";
import { until } from "../../../dev/testing/until.ts";
import { createScope } from "../../../runtime/scope.ts";
import { hostService } from "../../../runtime/service-host.ts";
import { Logins } from "../../support/checks/logins.ts";
import { startTestStack, type TestStack } from "../../support/worlds/stack.ts";

const ANONYMOUS = "anonymoussecretanonymoussecret00";
const REMOTE = "yyyyy-gj3su-000000000000001";
const STALE = "yyyyy-gj3su-000000000000002";
const NO_TOKEN = "zzzzz-gj3su-nosuchtoken0000";
const NO_CONTAINER = "zzzzz-dz642-nosuchcontainer";

describe("a token", () => {
  let stack: TestStack;
  const logins = new Logins(() => stack);
  let inactive: { uuid: string; token: string };

  before(async () => {
    stack = await startTestStack({ log: logins.log, overrides: { anonymousUserToken: ANONYMOUS } });
    const { uuid } = await stack.arvados.createUser({ username: "ivan", isActive: false });
    inactive = { uuid, token: (await stack.arvados.issueToken(uuid)).v2 };
  });
  after(() => stack?.[Symbol.asyncDispose]());

  const alice = () => stack.cluster.users.alice;
  const at = (ms: number) => new Date(ms).toISOString().replace("Z", "");
  /** A new token of alice's, its row changed past the models before anybody sees it. */
  async function issued(columns: Record<string, string> = {}, options: { scopes?: string[]; expiresAt?: number } = {}) {
    const { value } = await stack.arvados.tx(async (operations, tx) => {
      const token = await operations.issueToken(alice().uuid, options);
      await set(tx, "api_client_authorizations", token.uuid, columns);
      return token;
    });
    return value;
  }
  /** A container that runs for alice, changed likewise. */
  async function container(columns: Record<string, string>): Promise<string> {
    const { value } = await stack.arvados.tx(async (operations, tx) => {
      const { uuid } = await operations.createContainer({ runtimeUser: alice().uuid });
      await set(tx, "containers", uuid, columns);
      return uuid;
    });
    return value;
  }
  async function set(tx: Transaction, table: string, uuid: string, columns: Record<string, string>): Promise<void> {
    const names = Object.keys(columns);
    if (names.length === 0) return;
    const changes = names.map((name, i) => `${name} = $${i + 2}`).join(", ");
    await tx.query(`UPDATE ${table} SET ${changes} WHERE uuid = $1`, [uuid, ...Object.values(columns)]);
  }
  /** When one can sign in with what is committed last, the graph has what was committed before. */
  const settled = async () => void (await logins.isKnown((await stack.arvados.issueToken(alice().uuid)).v2));

  describe("lets its user in", () => {
    type Row = [
      kind: string,
      token: () => string | Promise<string>,
      expected?: { user?: () => string; token?: () => string },
    ];
    const rows: Row[] = [
      ["v2", () => alice().token.v2, { token: () => alice().token.uuid }],
      ["v1: the secret alone", () => alice().token.secret, { token: () => alice().token.uuid }],
      ["v2, salted for this cluster", () => `v2/${alice().token.uuid}/${saltedSecret(alice().token.secret, "zzzzz")}`],
      ["v2 of a running container, with its uuid", () => stack.cluster.container.token.withContainer],
      ["v2 of a running container, without its uuid", () => stack.cluster.container.token.v2],
      ["v2 with the uuid of a container that nobody has", () => `${alice().token.v2}/${NO_CONTAINER}`],
      [
        "v2 that a container was given to run with",
        async () => `${alice().token.v2}/${await container({ state: "Running", runtime_token: alice().token.v2 })}`,
      ],
      [
        "salted, of another cluster, as Arvados has cached it",
        async () => {
          const salted = saltedSecret("remotesecret", "zzzzz");
          await issued({ uuid: REMOTE, api_token: salted, refreshes_at: at(Date.now() + 300_000) });
          return `v2/${REMOTE}/${salted}`;
        },
        { token: () => REMOTE },
      ],
      [
        "OIDC, in the form in which Arvados stores it",
        async () => {
          await issued({ api_token: oidcSecret("oidc.stored", stack.config.systemRootToken) });
          return "oidc.stored";
        },
      ],
      ["with an end that has not come", async () => (await issued({}, { expiresAt: Date.now() + 60_000 })).v2],
      ["anonymous, the secret alone", () => ANONYMOUS, { user: () => stack.arvados.known.anonymousUser }],
      [
        "anonymous, as v2",
        () => `v2/${stack.arvados.known.anonymousToken}/${ANONYMOUS}`,
        { user: () => stack.arvados.known.anonymousUser },
      ],
      [
        "anonymous, salted for this cluster",
        () => `v2/${stack.arvados.known.anonymousToken}/${saltedSecret(ANONYMOUS, "zzzzz")}`,
        { user: () => stack.arvados.known.anonymousUser },
      ],
      ["of the system's root", () => stack.config.systemRootToken, { user: () => stack.arvados.known.rootUser }],
      [
        "of an inactive user, who has no more than what is his own",
        () => inactive.token,
        { user: () => inactive.uuid },
      ],
    ];
    for (const [kind, token, { user = () => alice().uuid, token: uuid } = {}] of rows) {
      it(kind, async () => {
        const text = await token();
        const who = await logins.isKnown(text);
        assert.equal(who.user_uuid, user());
        if (uuid) assert.equal(who.token_uuid, uuid());
      });
    }

    it("and root hears of everything", async () => {
      const { grants } = await logins.whoIs(stack.config.systemRootToken);
      assert.ok(grants.subscribe.includes("arvados.zzzzz.live.>"));
    });

    it("and inactive ones hear of no roles", async () => {
      const { grants } = await logins.whoIs(inactive.token);
      assert.deepEqual(
        grants.subscribe.filter((subject) => /@(roles|role|via)/.test(subject)),
        [],
      );
    });
  });

  it("with a megabyte of scopes signs in nowhere and stops nothing; with that many later, its session ends", async () => {
    const object = (n: number) => `GET /arvados/v1/collections/zzzzz-4zz18-${String(n).padStart(15, "0")}`;
    const scopes = Array.from({ length: 20_000 }, (_, n) => object(n));
    const token = await issued({}, { scopes });
    await settled();
    assert.equal(await logins.refusalOf(() => logins.login(token.v2)), "token.scopes");
    const other = await issued();
    await logins.isKnown(other.v2);
    const { nc } = await logins.login(other.v2);
    await stack.arvados.setTokenScopes(other.uuid, scopes);
    await nc.closed();
    assert.equal(await logins.refusalOf(() => logins.login(other.v2)), "token.scopes");
    await settled();
  });

  describe("with scopes", () => {
    const live = (tail: string) => `arvados.zzzzz.live.${tail}`;
    const isEvents = (subject: string) => subject.startsWith(live(""));
    const rows: [scopes: string[], sees: (grants: string[], whole: string[]) => void][] = [
      [["all"], (grants, whole) => assert.deepEqual(grants, whole)],
      [["GET /"], (grants, whole) => assert.deepEqual(grants, whole)],
      [
        ["GET /arvados/v1/collections/zzzzz-4zz18-000000000000001"],
        (grants, whole) => {
          const events = grants.filter((subject) => subject !== live("@resync"));
          assert.ok(events.length > 0);
          assert.ok(events.every((subject) => subject.endsWith("zzzzz-4zz18-000000000000001.collections")));
          assert.ok(!events.some((subject) => whole.includes(subject)));
        },
      ],
      [
        ["GET /arvados/v1/collections"],
        (grants) => assert.deepEqual(grants, [live(`@none.${alice().uuid}`), live("@resync")]),
      ],
      [[], (grants) => assert.deepEqual(grants, [live(`@none.${alice().uuid}`), live("@resync")])],
    ];
    for (const [scopes, sees] of rows) {
      it(`${JSON.stringify(scopes)} hears of what they allow`, async () => {
        const { v2 } = await issued({}, { scopes });
        const [{ grants }, whole] = [await logins.isKnown(v2), await logins.whoIs(alice().token.v2)];
        sees(grants.subscribe.filter(isEvents), whole.grants.subscribe.filter(isEvents));
      });
    }
  });

  describe("lets nobody in", () => {
    type Row = [kind: string, code: string, token: () => string | Promise<string>, how?: typeof asOurs];
    /** Not by our client, which sends nothing that is no token. */
    const asOurs = (pass: string): object => ({ user: sessionId(), pass });
    const withoutId = (token: string) => ({ token });
    const rows: Row[] = [
      ["that is unknown", "token.unknown", () => `v2/${NO_TOKEN}/secretsecret`],
      ["with a wrong secret", "token.unknown", () => `v2/${alice().token.uuid}/wrong`],
      [
        "with another's secret",
        "token.unknown",
        () => `v2/${alice().token.uuid}/${stack.cluster.users.bob.token.secret}`,
      ],
      [
        "salted for another cluster",
        "token.unknown",
        () => `v2/${alice().token.uuid}/${saltedSecret(alice().token.secret, "yyyyy")}`,
      ],
      ["that has expired", "token.expired", async () => (await issued({}, { expiresAt: Date.now() - 1 })).v2],
      [
        "of another cluster, which is to be asked about it again",
        "token.refresh",
        async () => {
          await issued({ uuid: STALE, api_token: "stale", refreshes_at: at(Date.now() - 1) });
          return `v2/${STALE}/stale`;
        },
      ],
      ["with a part too many", "token.malformed", () => `${alice().token.v2}/${NO_CONTAINER}/x`],
      ["with a uuid that is none", "token.malformed", () => "v2/zzzzz/secret"],
      ["without a secret", "token.malformed", () => `v2/${alice().token.uuid}/`],
      ["with a blank", "token.malformed", () => "two words"],
      ["of the system's root, cut short", "token.unknown", () => stack.config.systemRootToken.slice(1)],
      [
        "of the system's root, as if it were v2",
        "token.unknown",
        () => `v2/${stack.arvados.known.rootToken}/${stack.config.systemRootToken}`,
      ],
      ["anonymous, of another secret", "token.unknown", () => `v2/${stack.arvados.known.anonymousToken}/x${ANONYMOUS}`],
      ["anonymous, under another uuid", "token.unknown", () => `v2/${NO_TOKEN}/${ANONYMOUS}`],
      [
        "anonymous, with a container",
        "token.unknown",
        () => `v2/${stack.arvados.known.anonymousToken}/${ANONYMOUS}/${NO_CONTAINER}`,
      ],
      ["anonymous, without a session id of one's own", "session.id", () => ANONYMOUS, withoutId],
      [
        "with the uuid of a container that is not its own",
        "token.container",
        () => `${alice().token.v2}/${stack.cluster.container.uuid}`,
      ],
      [
        "with the uuid of a container that runs with another",
        "token.container",
        async () => `${alice().token.v2}/${await container({ state: "Running", runtime_token: "v2/other/token" })}`,
      ],
      ...["Queued", "Complete", "Cancelled"].map(
        (state): Row => [
          `with the uuid of a container that is ${state}`,
          "token.container",
          async () => `${alice().token.v2}/${await container({ state })}`,
        ],
      ),
    ];
    for (const [kind, code, token, how = asOurs] of rows) {
      it(kind, async () => {
        const text = await token();
        await settled();
        const signIn = () => connect({ servers: stack.nats.url, ...how(text), reconnect: false });
        assert.equal(await logins.refusalOf(signIn), code);
      });
    }
  });

  describe("and time, and settings", () => {
    it("one that ends soon gives a session that ends before it", async () => {
      // Its last second is not whole: of that the session gets nothing.
      const end = Math.ceil(Date.now() / 1000) * 1000 + 2_900;
      const { v2 } = await issued({}, { expiresAt: end });
      const { nc } = await until(() => logins.login(v2).catch(() => null), "the graph to have the token");
      assert.ok(Date.now() < end, "it was let in in time");
      await nc.closed();
      assert.ok(Date.now() < end, `it ended ${Date.now() - end} ms after its token`);
      await assert.rejects(logins.login(v2));
    });

    it("the anonymous one lets nobody in where the setting is empty, whatever HMAC of nothing is sent", async () => {
      await using scope = createScope();
      const config = { ...stack.config, anonymousUserToken: "" };
      const { log } = logins;
      await hostService({ name: "authcallout", start: runAuthcallout, config, log, scope });
      await stack.services.authcallout.drain();
      const { anonymousToken } = stack.arvados.known;
      const nothing = [saltedSecret("", "zzzzz"), oidcSecret("", stack.config.systemRootToken), ANONYMOUS, "undefined"];
      for (const secret of nothing) {
        for (const pass of [secret, `v2/${anonymousToken}/${secret}`]) {
          const signIn = () => connect({ servers: stack.nats.url, user: sessionId(), pass, reconnect: false });
          assert.equal(await logins.refusalOf(signIn), "token.unknown");
        }
      }
      const without = () => connect({ servers: stack.nats.url, user: sessionId(), pass: "", reconnect: false });
      assert.equal(await logins.refusalOf(without), "token.malformed");
      assert.equal((await logins.whoIs(alice().token.v2)).user_uuid, alice().uuid, "negative control");
    });
  });
});
