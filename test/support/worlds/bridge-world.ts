/** A real PostgreSQL, nats-server and bridge, with an enforcer that enforces every removal at once: what streams hold, and no sessions. */
import { jetstreamManager } from "@nats-io/jetstream";
import type { Guards } from "../../../bridge/guards.ts";
import { databaseTarget, runBridge, setupNames } from "../../../bridge/main.ts";
import { setupDb } from "../../../bridge/postgres/setup-db.ts";
import type { QueueEntry } from "../../../bridge/streams/queue-writer.ts";
import type { GraphKind, GraphRows } from "../../../core/rows.ts";
import type { RecordEvent } from "../../../core/wire/wire.ts";
import type { Operations } from "../../../dev/simulator/index.ts";
import { startAutoEnforcer } from "../../../dev/testing/auto-enforcer.ts";
import { until } from "../../../dev/testing/until.ts";
import { type Config, type ConfigOverrides, defaultConfig } from "../../../runtime/config/config.ts";
import { createLog, silentLog } from "../../../runtime/log/log.ts";
import { createMetrics } from "../../../runtime/metrics.ts";
import { createScope } from "../../../runtime/scope.ts";
import { startNats } from "../servers/nats.ts";
import { freshDatabase } from "../servers/postgres.ts";

export async function startBridgeWorld(
  overrides: ConfigOverrides = {},
  before: (arvados: Operations) => Promise<void> = async () => {},
  guards: Partial<Guards> = {},
) {
  const scope = createScope();
  const nats = scope.use("nats", await startNats({ reconnect: true, profile: { recordsBytes: 4 * 1024 ** 3 } }), (it) =>
    it[Symbol.asyncDispose](),
  );
  const database = scope.use("database", await freshDatabase(), (it) => it.drop());
  const { host, port, user, password, database: dbname } = database.config;
  const config: Config = defaultConfig({
    clusterId: nats.clusterId,
    natsUrl: nats.server.url,
    postgres: { host, port, dbname, user, password },
    nkeys: { bridge: { CORE: nats.keys.users.bridge.CORE.seed, STORE: nats.keys.users.bridge.STORE.seed } },
    // One PostgreSQL serves all tests, and slots are the server's.
    replication: { slot: dbname, publication: dbname },
    ...overrides,
  });
  await before(database.simulator);
  await setupDb(databaseTarget(config), setupNames(config), { dryRun: false, print: () => {} });
  const enforcer = await startAutoEnforcer(nats);
  scope.defer("enforcer", () => enforcer.close());
  let metrics = createMetrics("bridge");
  const launch = async () => {
    const term = scope.child("bridge");
    metrics = createMetrics("bridge");
    const bridge = await runBridge(
      { config, log: process.env.TEST_LOG ? createLog({ level: "info" }) : silentLog(), metrics, scope: term },
      guards,
    );
    bridge.done.catch(() => {});
    const stop = async () => {
      await bridge.drain();
      await term.close();
    };
    return { stop };
  };
  const first = await launch();
  const store = await nats.connect("gateway", "STORE");
  const jsm = await jetstreamManager(store);
  const { simulator: arvados } = database;

  /** Everything in RECORDS up to a fresh event of our own. */
  const records = async () => {
    const { uuid } = await arvados.createUser({ username: `marker${Math.random()}` });
    const found: { subject: string; event: RecordEvent }[] = [];
    await until(async () => {
      found.length = 0;
      const { state } = await jsm.streams.info("RECORDS");
      for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
        const message = await jsm.streams.getMessage("RECORDS", { seq });
        if (message?.subject.startsWith(nats.subjects.root))
          found.push({ subject: message.subject, event: message.json() });
      }
      return found.some(({ event }) => event.object_uuid === uuid);
    }, "the marker to come through");
    return found;
  };
  const lastOn = async <T>(subject: string): Promise<T | null> => {
    const message = await jsm.streams
      .getMessage(subject.includes(".queue.") ? "QUEUE" : "RECORDS", { last_by_subj: subject })
      .catch(() => null);
    return message ? message.json<T>() : null;
  };
  const core = await jetstreamManager(await nats.connect("gateway", "CORE"));
  /** A row as GRAPH holds it now; null = a tombstone, or nothing. */
  const graphRow = async <K extends GraphKind>(kind: K, uuid: string): Promise<GraphRows[K] | null> => {
    const message = await core.streams
      .getMessage("GRAPH", { last_by_subj: nats.subjects.graph(kind, uuid) })
      .catch(() => null);
    return message?.json<{ row: GraphRows[K] | null }>().row ?? null;
  };
  const queue = (container: string) => lastOn<QueueEntry>(nats.subjects.queue(container));
  return {
    nats,
    enforcer,
    database,
    arvados,
    first,
    launch,
    metricsText: () => metrics.text(),
    /** How often the bridge that runs has taken the lead. */
    terms: async () => Number(/bridge_terms_total (\d+)/.exec(await metrics.text())?.[1]),
    records,
    lastOn,
    graphRow,
    queue,
    [Symbol.asyncDispose]: () => scope.close(),
  };
}

export type BridgeWorld = Awaited<ReturnType<typeof startBridgeWorld>>;
