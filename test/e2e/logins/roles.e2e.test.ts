/** Roles at a real nats-server: each may do exactly what it is for, as long as its user is in the group. */
import assert from "node:assert/strict";
import { jetstreamManager } from "@nats-io/jetstream";
import { errors, type NatsConnection, type SubscriptionOptions } from "@nats-io/nats-core";
import { LOG_FILES } from "../../../core/logs/log-files.ts";
import type { RoleName } from "../../../core/session/roles.ts";
import { subjectsOf } from "../../../core/subjects.ts";
import { until } from "../../../dev/testing/until.ts";
import { silentLog } from "../../../runtime/log/log.ts";
import { connectService } from "../../../runtime/nats/service-connection.ts";
import { createScope } from "../../../runtime/scope.ts";
import { Logins } from "../../support/checks/logins.ts";
import { startTestStack, type TestStack } from "../../support/worlds/stack.ts";

const { root, live, log, queue } = subjectsOf("zzzzz");
const ROLES: RoleName[] = ["dispatch", "log-writer", "syslog-writer", "auditor"];
const groupOf = (role: RoleName) => `zzzzz-j7d0g-role0000000000${ROLES.indexOf(role)}`;
const OTHER_CONTAINER = "zzzzz-dz642-000000000000999";

type Door = "reads the queue" | "reads all events" | "reads service logs" | "writes any log" | "writes service logs";
const SUBSCRIPTIONS: Partial<Record<Door, string>> = {
  "reads the queue": `${root}.queue.>`,
  "reads all events": `${root}.live.>`,
  "reads service logs": `${root}.sys.>`,
};
const PUBLICATIONS: Partial<Record<Door, string>> = {
  "writes any log": log(OTHER_CONTAINER, "stdout.txt"),
  "writes service logs": `${root}.sys.dispatch.host1.info`,
};
const MAY: Record<RoleName, Door[]> = {
  dispatch: ["reads the queue", "writes any log"],
  "log-writer": ["writes any log"],
  "syslog-writer": ["writes service logs"],
  auditor: ["reads all events", "reads service logs"],
};
/** What no role gives. */
const NEVER_READ = [
  `${root}.rec.>`,
  `${root}.log.>`,
  `${root}.graph.>`,
  `${root}.barrier.>`,
  `${root}.notice.>`,
  "$JS.API.>",
];
const NEVER_WRITTEN = [
  queue(OTHER_CONTAINER),
  live("x.y.collections"),
  `${root}.rec.x.y.collections`,
  `${root}.graph.user.x`,
  `${root}.sys.dispatch.host1.shout`,
  `${root}.sys.dispatch.host1.info.more`,
];

describe("a role", () => {
  let stack: TestStack;
  const scope = createScope();
  const logins = new Logins(() => stack);
  const users = new Map<RoleName, { uuid: string; v2: string }>();

  before(async () => {
    const roles = ROLES.map((role) => `${groupOf(role)}=${role}`).join(" ");
    stack = await startTestStack({ log: logins.log, overrides: { roles } });
    for (const role of ROLES) {
      const { value } = await stack.arvados.tx(async (operations, tx) => {
        const { uuid: group } = await operations.createRole({ name: role });
        await tx.query("UPDATE links SET head_uuid = $1 WHERE head_uuid = $2", [groupOf(role), group]);
        await tx.query("UPDATE groups SET uuid = $1 WHERE uuid = $2", [groupOf(role), group]);
        const { uuid } = await operations.createUser({ username: role });
        await operations.addToRole(uuid, groupOf(role));
        return { uuid, v2: (await operations.issueToken(uuid)).v2 };
      });
      users.set(role, value);
    }
    await logins.isKnown(userOf("auditor").v2);
  });
  after(async () => {
    await scope.close();
    await stack?.[Symbol.asyncDispose]();
  });

  const userOf = (role: RoleName) => users.get(role) as { uuid: string; v2: string };

  async function mayRead(nc: NatsConnection, subject: string, options: SubscriptionOptions = {}): Promise<boolean> {
    let refused: unknown = null;
    const subscription = nc.subscribe(subject, {
      ...options,
      callback: (error) => {
        refused ??= error;
      },
    });
    await nc.flush();
    if (refused === null) subscription.unsubscribe();
    return !(refused instanceof errors.PermissionViolationError);
  }
  /** Whether nats-server lets it pass; its stream has it then. */
  async function mayWrite(nc: NatsConnection, subject: string): Promise<boolean> {
    try {
      const answer = await nc.request(subject, "a line", { timeout: 5_000 });
      assert.ok("stream" in answer.json<object>());
      return true;
    } catch (error) {
      if (/Permissions Violation/.test(String(error))) return false;
      throw error;
    }
  }

  for (const role of ROLES) {
    describe(role, () => {
      let nc: NatsConnection;
      before(async () => {
        ({ nc } = await logins.login(userOf(role).v2));
      });
      after(() => nc.close());

      for (const [door, subject] of Object.entries(SUBSCRIPTIONS) as [Door, string][]) {
        const may = MAY[role].includes(door);
        it(`${may ? "" : "does not: "}${door}`, async () => assert.equal(await mayRead(nc, subject), may));
      }
      for (const [door, subject] of Object.entries(PUBLICATIONS) as [Door, string][]) {
        const may = MAY[role].includes(door);
        it(`${may ? "" : "does not: "}${door}`, async () => assert.equal(await mayWrite(nc, subject), may));
      }
      it("reads and writes nothing else", async () => {
        for (const subject of NEVER_READ) assert.ok(!(await mayRead(nc, subject)), subject);
        for (const subject of NEVER_WRITTEN) assert.ok(!(await mayWrite(nc, subject)), subject);
      });
      it("has no queue subscriptions, in which one would take another's messages", async () => {
        const subject = Object.values(SUBSCRIPTIONS).find((one) =>
          MAY[role].some((door) => SUBSCRIPTIONS[door] === one),
        );
        assert.ok(!(await mayRead(nc, subject ?? live("@resync"), { queue: "thieves" })));
        assert.ok(await mayRead(nc, subject ?? live("@resync")), "negative control");
      });
      it("is none with a token of fewer scopes", async () => {
        const { v2 } = await stack.arvados.issueToken(userOf(role).uuid, { scopes: ["GET /"] });
        const { grants } = await logins.isKnown(v2);
        const all = [...Object.values(SUBSCRIPTIONS), `${root}.log.>`, `${root}.sys.>`];
        assert.deepEqual(
          [...grants.subscribe, ...grants.publish].filter((subject) => all.includes(subject)),
          [],
        );
      });
    });
  }

  // Apart, and last: a suite runs its own tests before the suites in it, and these take roles away.
  describe("in use", () => {
    it("sees what it is for: a dispatcher a queued container, an auditor another's event, and nobody else either", async () => {
      const seen = new Map<string, string[]>();
      const connections: NatsConnection[] = [];
      for (const role of ["dispatch", "auditor"] as const) {
        const { nc } = await logins.login(userOf(role).v2);
        connections.push(nc);
        const subjects: string[] = [];
        seen.set(role, subjects);
        for (const subject of role === "dispatch" ? [`${root}.queue.>`] : [`${root}.live.>`]) {
          nc.subscribe(subject, { callback: (_, message) => void subjects.push(message.subject) });
        }
        await nc.flush();
      }
      const { uuid: request } = await stack.arvados.createContainerRequest({
        name: "Another",
        owner: stack.cluster.projects.run1,
        command: ["true"],
        by: stack.cluster.users.alice.uuid,
      });
      const { container } = await stack.arvados.commitContainerRequest(request, { by: stack.cluster.users.alice.uuid });
      await until(() => seen.get("dispatch")?.includes(queue(container)), "the queue entry");
      await until(() => seen.get("auditor")?.some((subject) => subject.includes(request)), "the event");
      await Promise.all(connections.map((nc) => nc.close()));
    });

    it("ends when its user leaves the group: the session is cut, and the next one has no more than others", async () => {
      for (const role of ROLES) {
        const { uuid, v2 } = userOf(role);
        const { nc } = await logins.login(v2);
        await stack.arvados.removeFromRole(uuid, groupOf(role));
        await nc.closed();
        const next = await logins.login(v2);
        for (const subject of Object.values(SUBSCRIPTIONS)) assert.ok(!(await mayRead(next.nc, subject)), subject);
        for (const subject of Object.values(PUBLICATIONS)) assert.ok(!(await mayWrite(next.nc, subject)), subject);
        await next.nc.close();
      }
    });

    /** A container of alice's that runs with a token of hers which the request brought along. */
    async function withGivenToken() {
      const { uuid: user } = stack.cluster.users.alice;
      const { v2: runtimeToken } = await stack.arvados.issueToken(user);
      const { uuid } = await stack.arvados.createContainer({ runtimeUser: user, runtimeToken });
      const { token } = await stack.arvados.runContainer(uuid);
      return { uuid, token };
    }

    it("is not needed by a container, whose token writes its own log by its literal names, and nothing else", async () => {
      const { uuid, token } = stack.cluster.container;
      const store = await connectService({
        config: stack.config,
        service: "gateway",
        account: "STORE",
        log: silentLog(),
        scope,
      });
      const streams = (await jetstreamManager(store)).streams;
      const stored = async () =>
        Object.keys((await streams.info("LOGS", { subjects_filter: `${root}.log.>` })).state.subjects ?? {});
      const given = await withGivenToken();
      await logins.isKnown(given.token.withContainer);
      for (const one of [stack.cluster.container, given]) {
        const { nc } = await logins.login(one.token.withContainer);
        const own = (file: string) => log(one.uuid, file);
        for (const file of LOG_FILES) assert.ok(await mayWrite(nc, own(file)), file);
        const before = await stored();
        const written = before.filter((subject) => subject.startsWith(`${root}.log.${one.uuid}.`));
        assert.equal(written.length, LOG_FILES.length);
        const others = [
          own("passwd"),
          own("stdout.txt.old"),
          `${root}.log.${one.uuid}`,
          `${root}.log.${one.uuid}.stdout`,
          ...LOG_FILES.map((file) => log(OTHER_CONTAINER, file)),
          ...LOG_FILES.map((file) => log(one === given ? uuid : given.uuid, file)),
          `${root}.sys.crunch.host1.info`,
          ...NEVER_WRITTEN,
        ];
        for (const subject of others) assert.ok(!(await mayWrite(nc, subject)), subject);
        assert.deepEqual(await stored(), before);
        await nc.close();
      }
      const hers = await logins.login(given.token.v2);
      assert.ok(
        !(await mayWrite(hers.nc, log(given.uuid, "stdout.txt"))),
        "what was given to it is hers without the suffix",
      );
      await hers.nc.close();
      const suffixless = await logins.login(token.v2);
      assert.ok(
        await mayWrite(suffixless.nc, log(uuid, "stdout.txt")),
        "the token is its own with and without the suffix",
      );
      await stack.arvados.completeContainer(uuid);
      await suffixless.nc.closed();
    });
  });
});
