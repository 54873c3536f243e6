import assert from "node:assert/strict";
import { until } from "../../../dev/testing/until.ts";
import { ConnectionWatch } from "../../../runtime/nats/connection-watch.ts";
import { startNats } from "../../support/servers/nats.ts";

describe("readiness of a service's connections", () => {
  it("names the connection that is lost, and reports when it is back", async () => {
    await using nats = await startNats({ streams: false });
    const lasting = { reconnect: true, maxReconnectAttempts: -1, reconnectTimeWait: 300, reconnectJitter: 0 };
    const [core, app] = [await nats.connect("gateway", "CORE"), await nats.connect("gateway", "APP", lasting)];
    const watch = new ConnectionWatch();
    watch.add("CORE", core);
    watch.add("APP", app);
    assert.deepEqual(watch.readiness(), { ok: true, says: "connected for CORE, APP" });
    const system = await nats.connect("authcallout", "SYS");
    const cid = app.info?.client_id;
    await system.request(`$SYS.REQ.SERVER.${app.info?.server_id}.KICK`, JSON.stringify({ cid }));
    await until(() => !watch.readiness().ok, "the connection to be missed");
    assert.match(watch.readiness().says, /for APP:/);
    await until(() => watch.readiness().ok, "it to be back");
    await core.close();
    await until(() => !watch.readiness().ok, "a closed one to be missed");
    assert.match(watch.readiness().says, /for CORE:/);
  });
});
