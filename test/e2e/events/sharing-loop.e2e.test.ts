/** A user who shares and takes back in a loop, watched from real sessions of others that ignore notices: who has to reconnect because of it. */
import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { connect } from "@nats-io/transport-node";
import { connectOptions, sessionId, sessionKey } from "../../../client/mod.ts";
import { subjectsOf } from "../../../core/subjects.ts";
import type { Notice } from "../../../core/wire/wire.ts";
import type { DemoUser } from "../../../dev/seed.ts";
import { until } from "../../../dev/testing/until.ts";
import { sharedPattern, subscribed } from "../../support/checks/leaks.ts";
import { startTestStack, type TestStack } from "../../support/worlds/stack.ts";

const SECONDS = 2;

async function session(stack: TestStack, { token }: DemoUser, subject: string) {
  const sid = sessionId();
  const nc = await connect({ servers: stack.nats.url, ...(await connectOptions(token.v2, sid)), reconnect: false });
  const state = { nc, notices: [] as string[], events: 0 };
  nc.subscribe(subjectsOf(stack.cluster.clusterId).notice(await sessionKey(token.v2, sid)), {
    callback: (_error, message) => void state.notices.push(message.json<Notice>().notice),
  });
  nc.subscribe(subject, { callback: () => void state.events++ });
  await nc.flush();
  return state;
}

async function tenTimesASecond(work: () => Promise<unknown>): Promise<void> {
  const begun = performance.now();
  for (let turn = 1; turn <= 10 * SECONDS; turn++) {
    await work();
    await delay(Math.max(0, begun + turn * 100 - performance.now()));
  }
}

describe("a user who shares and takes back ten times a second", () => {
  let stack: TestStack;

  before(async () => {
    stack = await startTestStack();
  });
  after(() => stack?.[Symbol.asyncDispose]());

  const sharing = (group: string) => {
    const { users, projects } = stack.cluster;
    const by = { by: users.alice.uuid };
    return {
      share: () => stack.arvados.share(group, projects.genomes, "can_read", by),
      unshare: () => stack.arvados.unshare({ tail: group, head: projects.genomes }, by),
    };
  };
  /** How many removals records have waited for. */
  const barriers = async () => {
    const text = await (await fetch(`${stack.services.bridge.adminUrl}/metrics`)).text();
    return Number(/^arvados_nats_bridge_barrier_wait_seconds_count (\d+)$/m.exec(text)?.[1] ?? Number.NaN);
  };
  const root = () => `arvados.${stack.cluster.clusterId}.live`;

  it("with all users cuts nobody, sends no notice and lets no record wait, and what is shared in the end is heard", async () => {
    const { users } = stack.cluster;
    const { allUsersGroup } = stack.arvados.known;
    const { share, unshare } = sharing(allUsersGroup);
    const subject = `${root()}.@role.${allUsersGroup}.>`;
    const all = await Promise.all([users.alice, users.bob, users.admin].map((user) => session(stack, user, subject)));
    const waited = await barriers();
    await tenTimesASecond(async () => {
      await share();
      await unshare();
    });
    assert.equal(await barriers(), waited);
    await share();
    await stack.demo.actions.update?.();
    await until(() => all.every(({ events }) => events === 1), "everybody to hear of it");
    await unshare();
    assert.deepEqual(
      all.map(({ nc, notices }) => [nc.isClosed(), notices]),
      Array(3).fill([false, []]),
    );
    await Promise.all(all.map(({ nc }) => nc.close()));
  });

  it("with a role of few cuts its members: what spares them is that all users hear by another subject", async () => {
    const { users, roles } = stack.cluster;
    await stack.arvados.addToRole(users.bob.uuid, roles.lab, { by: users.admin.uuid });
    const { share, unshare } = sharing(roles.lab);
    await share();
    const bob = await until(() => subscribed(stack, stack.nats.url), "bob to be let in with the right");
    const admin = await session(stack, users.admin, sharedPattern(stack));
    const waited = await barriers();
    await unshare();
    await until(() => bob.nc.isClosed(), "bob to be cut");
    await until(async () => (await barriers()) > waited, "records to have waited for it");
    assert.ok(!admin.nc.isClosed());
    await admin.nc.close();
  });

  it("causes at most two notices a second in a session whose rights grow", async () => {
    const { users } = stack.cluster;
    const bob = await session(stack, users.bob, `${root()}.${users.bob.uuid}.>`);
    const begun = performance.now();
    await tenTimesASecond(async () => {
      const { uuid } = await stack.arvados.createProject({ name: "One more", owner: users.alice.uuid });
      await stack.arvados.share(users.bob.uuid, uuid, "can_read", { by: users.alice.uuid });
    });
    await until(() => bob.notices.length > 1, "more than one notice");
    const seconds = (performance.now() - begun) / 1000;
    assert.ok(bob.notices.length <= 2 * seconds + 1, `${bob.notices.length} in ${seconds} s`);
    assert.deepEqual(new Set(bob.notices), new Set(["permissionsGrown"]));
    assert.ok(!bob.nc.isClosed());
    await bob.nc.close();
  });
});

describe("a user who shares and takes back in a loop with one whose many sessions come back at once", () => {
  const SESSIONS = 20;
  let stack: TestStack;
  before(async () => {
    stack = await startTestStack({ overrides: { cutsPerMinute: 2 * SESSIONS } });
  });
  after(() => stack?.[Symbol.asyncDispose]());

  const metric = async (pattern: RegExp) => {
    const text = await (await fetch(`${stack.services.authcallout.adminUrl}/metrics`)).text();
    return Number(pattern.exec(text)?.[1] ?? 0);
  };
  const admitted = () => metric(/requests_total\{result="admitted",code=""\} (\d+)/);
  const refused = () => metric(/requests_total\{result="denied",code="login.paused"\} (\d+)/);

  it("has that one wait some seconds, nobody else, and no session of his that is sound", async () => {
    const { users, projects } = stack.cluster;
    const by = { by: users.alice.uuid };
    const calm = await session(stack, users.bob, `arvados.${stack.cluster.clusterId}.live.${users.bob.uuid}.>`);
    const options = await Promise.all(
      Array.from({ length: SESSIONS }, async () => ({
        servers: stack.nats.url,
        ...(await connectOptions(users.bob.token.v2, sessionId())),
        reconnectDelayHandler: () => 50,
        reconnectTimeWait: 50,
      })),
    );
    const accomplices = await Promise.all(options.map((one) => connect(one)));
    const before = await admitted();
    await tenTimesASecond(async () => {
      await stack.arvados.share(users.bob.uuid, projects.genomes, "can_read", by);
      await Promise.all(accomplices.map((nc) => nc.reconnect().catch(() => {})));
      await stack.arvados.unshare({ tail: users.bob.uuid, head: projects.genomes }, by);
    });
    const logins = (await admitted()) - before;
    // Without the pause each turn brings them all.
    assert.ok(logins < (10 * SECONDS * SESSIONS * 2) / 3, `${logins} logins in ${10 * SECONDS} turns`);
    // A refusal is answered late.
    await until(async () => (await refused()) > 0, "a login that is refused");
    assert.ok((await metric(/pauses_total\{cause="cuts"\} (\d+)/)) > 0);
    assert.ok(!calm.nc.isClosed(), "the session that never had it");
    const others = performance.now();
    await (await stack.connectBare(users.alice.token.v2)).close();
    assert.ok(performance.now() - others < 5_000);
    const begun = performance.now();
    await until(
      () =>
        stack.connectBare(users.bob.token.v2).then(
          () => true,
          () => false,
        ),
      "him to be let in again",
    );
    assert.ok(performance.now() - begun < 20_000, "8 s, spread, and a held refusal");
    await Promise.all([calm.nc.close(), ...accomplices.map((nc) => nc.close())]);
  });
});
