/** The beat on an idle database: it must advance, or logins would be refused on a quiet night. */
import { databaseTarget, runBridge, setupNames } from "../../bridge/main.ts";
import { setupDb } from "../../bridge/postgres/setup-db.ts";
import { startAutoEnforcer } from "../../dev/testing/auto-enforcer.ts";
import { until } from "../../dev/testing/until.ts";
import { defaultConfig } from "../../runtime/config/config.ts";
import { silentLog } from "../../runtime/log/log.ts";
import { createMetrics } from "../../runtime/metrics.ts";
import { createScope } from "../../runtime/scope.ts";
import { startNats } from "../support/servers/nats.ts";
import { freshDatabase } from "../support/servers/postgres.ts";

describe("the bridge on an idle database", () => {
  it("publishes within seconds, and again and again, that the graph is complete", async () => {
    await using scope = createScope();
    const nats = scope.use("nats", await startNats({ reconnect: true }), (it) => it[Symbol.asyncDispose]());
    const database = scope.use("database", await freshDatabase(), (it) => it.drop());
    const { host, port, user, password, database: dbname } = database.config;
    const config = defaultConfig({
      clusterId: nats.clusterId,
      natsUrl: nats.server.url,
      postgres: { host, port, dbname, user, password },
      nkeys: { bridge: { CORE: nats.keys.users.bridge.CORE.seed, STORE: nats.keys.users.bridge.STORE.seed } },
      replication: { slot: dbname, publication: dbname },
    });
    await setupDb(databaseTarget(config), setupNames(config), { dryRun: false, print: () => {} });
    const enforcer = await startAutoEnforcer(nats);
    scope.defer("enforcer", () => enforcer.close());
    const core = await nats.connect("authcallout", "CORE");
    const beats = new Set<number>();
    core.subscribe(nats.subjects.graphBeat, {
      callback: (error, message) => {
        if (!error) beats.add(message.json<{ time: number }>().time);
      },
    });
    await core.flush();
    const bridge = await runBridge({ config, log: silentLog(), metrics: createMetrics("bridge"), scope });
    bridge.done.catch(() => {});
    await until(() => beats.size >= 4, "four beats, each of a later time");
    await bridge.drain();
  });
});
