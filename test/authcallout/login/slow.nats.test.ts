/** A callout that is too slow for nats-server: nobody comes in late, and what cannot be answered in time is dropped and counted. */
import assert from "node:assert/strict";
import { errors } from "@nats-io/nats-core";
import { connect } from "@nats-io/transport-node";
import { createLogins } from "../../../authcallout/login/logins.ts";
import { Responder } from "../../../authcallout/login/responder.ts";
import { systemAccount } from "../../../authcallout/sessions/system-account.ts";
import { until } from "../../../dev/testing/until.ts";
import { deferred } from "../../../runtime/deferred.ts";
import { silentLog } from "../../../runtime/log/log.ts";
import { startNats, type TestNats } from "../../support/servers/nats.ts";
import { responderParts, TOKEN } from "../../support/worlds/responder.ts";

const AUTH_TIMEOUT_MS = 2_000;

describe("a callout that is too slow", () => {
  let nats: TestNats;
  before(async () => {
    nats = await startNats({ streams: false, limits: { authTimeout: AUTH_TIMEOUT_MS / 1000 } });
  });
  after(() => nats[Symbol.asyncDispose]());

  const keys = () => ({ issuer: nats.keys.issuer.seed, xkey: nats.keys.xkey.seed, edge: nats.keys.edge.public });
  const user = { pass: `v2/${TOKEN}/secret`, user: "abcdefghijklmnop" };
  const signIn = () => nats.connectUser(user);
  async function refusedAfter(): Promise<number> {
    const begun = performance.now();
    // Once: each try is a login that the callout has to do with.
    const once = connect({ servers: nats.server.url, reconnect: false, ...user });
    await assert.rejects(once, (error) => error instanceof errors.AuthorizationError);
    return performance.now() - begun;
  }
  async function callout(responder: Pick<Responder, "accept" | "shed">) {
    const core = await nats.connect("authcallout", "CORE");
    const shed: string[] = [];
    const measured = { login: () => () => 0, shed: (code: string) => void shed.push(code) };
    const parts = { core, responder: responder as Responder, measured, log: silentLog() };
    const { group, waiting } = createLogins({ ...parts, mayAnswer: () => true, authTimeout: AUTH_TIMEOUT_MS });
    group.join();
    await core.flush();
    return { shed, waiting, group };
  }

  it("that has no time for a login drops it, counts it, and says nothing", async () => {
    let hasTime = false;
    const results: string[] = [];
    const real = new Responder(responderParts(keys(), (result) => void results.push(result)));
    const { shed, waiting, group } = await callout({
      accept: (message) => hasTime && real.accept(message),
      shed: (message, why) => real.shed(message, why),
    });
    const after = refusedAfter();
    await until(() => shed.length > 0, "the login to be dropped");
    assert.deepEqual([shed, waiting(), results], [["login.overload"], 0, []]);
    assert.ok((await after) > 0.9 * AUTH_TIMEOUT_MS, "the server's own refusal, when it has waited long enough");
    hasTime = true;
    await (await signIn()).close();
    assert.deepEqual([shed.length, results], [1, ["admitted"]]);
    await group.leave();
  });

  it("whose answer comes when nats-server has given up has let nobody in", async () => {
    const results: string[] = [];
    const word = deferred();
    const parts = responderParts(keys(), (result) => void results.push(result));
    const { group } = await callout(new Responder({ ...parts, announce: () => word.promise }));
    assert.ok((await refusedAfter()) > 0.9 * AUTH_TIMEOUT_MS);
    word.resolve();
    await until(() => results.length > 0, "the answer");
    assert.deepEqual(results, ["admitted"], "for all the callout knows");
    const [pending] = parts.sessions.pending(Date.now());
    assert.ok(pending, "and so it keeps it in mind");
    const sys = systemAccount(await nats.connect("authcallout", "SYS"), "APP", Date.now);
    assert.deepEqual(await sys.sessionsOf(pending.server, Date.now()), []);
    await (await signIn()).close();
    await group.leave();
  });
});
