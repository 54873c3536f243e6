/** A callout whose graph grows old: what it does by its bounds, and what would come of it without them. */
import assert from "node:assert/strict";
import { runAuthcallout } from "../../../authcallout/main.ts";
import { runBridge } from "../../../bridge/main.ts";
import { until } from "../../../dev/testing/until.ts";
import type { Config, ConfigOverrides } from "../../../runtime/config/config.ts";
import { createScope, type Scope } from "../../../runtime/scope.ts";
import type { StartService } from "../../../runtime/service.ts";
import { hostService } from "../../../runtime/service-host.ts";
import { type Listener, noticesTo, startListener } from "../../support/checks/listener.ts";
import { Logins } from "../../support/checks/logins.ts";
import { startTestStack, type TestStack } from "../../support/worlds/stack.ts";

/** So far apart that in between there is time for a login, and for a stall. */
const REFUSE_MS = 3_000;
const END_MS = 10_000;

describe("a callout whose graph grows old", () => {
  /** bob has a session with what alice has shared; the bridge is gone; she takes it back, which nobody hears of. */
  async function world(overrides: ConfigOverrides, scope: Scope) {
    const logins: Logins = new Logins(() => stack);
    const stack: TestStack = await startTestStack({ log: logins.log, overrides });
    scope.defer("the stack", () => stack[Symbol.asyncDispose]());
    const { users, projects } = stack.cluster;
    const pattern = `arvados.zzzzz.live.${users.alice.uuid}.${projects.genomes}.>`;
    const has = (session: Listener) => session.grants.includes(pattern);
    await stack.demo.actions.share?.();
    const bob = await until(async () => {
      const session = await startListener(logins, users.bob.token.v2);
      if (has(session)) return session;
      await session.nc.close();
      return null;
    }, "bob to have what was shared");
    const admin = await startListener(logins, users.admin.token.v2);
    await stack.services.bridge.drain();
    await stack.demo.actions.unshare?.();
    const { adminUrl } = stack.services.authcallout;
    const host = (name: "bridge" | "authcallout", start: StartService, config: Config) =>
      hostService({ name, start, config, log: logins.log, scope: scope.child(name) });
    const ask = async (path: string) => (await fetch(`${adminUrl}/${path}`)).text();
    return {
      bob,
      admin,
      has,
      login: () => startListener(logins, users.bob.token.v2),
      refusal: () => logins.refusalOf(() => logins.login(users.bob.token.v2)),
      readyz: () => ask("readyz"),
      age: async () => Number(/graph_age_seconds ([\d.]+)/.exec(await ask("metrics"))?.[1]) * 1_000,
      anotherBridge: () => host("bridge", runBridge, stack.config),
      /** Instead of the first. */
      async anotherCallout(changes: Partial<Config>) {
        await stack.services.authcallout.drain();
        await host("authcallout", runAuthcallout, { ...stack.config, ...changes });
      },
    };
  }

  it("refuses new sessions, then ends the old ones, admins' too unless they are spared, says so, and takes people in again", async () => {
    await using scope = createScope();
    const bounds = {
      stalenessTail: 1_500,
      stalenessRefuse: REFUSE_MS,
      stalenessEnd: END_MS,
      stalenessKeepAdmins: true,
    };
    const { bob, admin, has, age, login, refusal, readyz, anotherCallout, anotherBridge } = await world(bounds, scope);
    await until(async () => (await age()) > REFUSE_MS, "its graph to be too old for new sessions");
    assert.equal(await refusal(), "graph.stale");
    assert.match(await readyz(), /graph\.stale/);
    assert.ok(!bob.nc.isClosed(), "refused before it is ended");
    await until(() => bob.nc.isClosed(), "the session to end");
    assert.deepEqual([noticesTo(bob), bob.notices[0]?.reconnect], [["graphStale"], true]);
    assert.equal(await refusal(), "graph.stale", "he may come back, but not yet");
    assert.ok(!admin.nc.isClosed(), "an admin may look what is wrong");
    await anotherCallout({ stalenessKeepAdmins: false });
    await until(() => admin.nc.isClosed(), "the admin's session to end where nothing spares it");
    assert.deepEqual(noticesTo(admin), ["graphStale"]);
    await anotherBridge();
    const back = await until(() => login().catch(() => null), "bob to come back");
    assert.ok(!has(back), "without what was taken back meanwhile");
    await back.nc.close();
  });

  it("would let people in with, and leave them, what was taken from them: negative control", async () => {
    await using scope = createScope();
    const off = 3_600_000;
    const bounds = { stalenessTail: off, stalenessRefuse: off + 1, stalenessEnd: off + 2 };
    const { bob, admin, has, age, login, anotherBridge } = await world(bounds, scope);
    await until(async () => (await age()) > END_MS + 500, "its graph to be older than in the test before");
    assert.ok(!bob.nc.isClosed());
    const next = await login();
    assert.ok(has(next));
    await anotherBridge();
    await until(() => bob.nc.isClosed() && next.nc.isClosed(), "both sessions to be cut");
    assert.deepEqual([noticesTo(bob), noticesTo(next)], [["permissionsChanged"], ["permissionsChanged"]]);
    await admin.nc.close();
  });
});
