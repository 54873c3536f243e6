/**
 * The bridge service: it reads PostgreSQL and writes GRAPH, GRAPHLOG, RECORDS, QUEUE and the marks in BARRIER.
 *
 *   main ─► leader (term after term) ─► term (step by step) ─► commit/ (one commit at a time)
 *
 * The folders, each of which may import those before it, and core and runtime:
 *   spill      lists, queues and indexes that are too large for memory
 *   postgres   what is read from PostgreSQL, and how: catalogs, publications, slot, snapshot, pgoutput
 *   rows       a commit's rows as rows of the graph and as events
 *   streams    writes the streams: units, fence, order, barrier
 *   takeover   reads the streams back for a new leader and decides the epoch
 *   progress   positions, confirmation, beat; imports core only
 *   commit     one commit after another, from the replication feed to the writers
 *   logs       copies container logs into LOGS; imports rows and postgres only
 */
import { replicaGraphOptions } from "../replica/replica-settings.ts";
import type { Config } from "../runtime/config/config.ts";
import { LogLimiter } from "../runtime/log/limiter.ts";
import { connectService } from "../runtime/nats/service-connection.ts";
import type { Scope } from "../runtime/scope.ts";
import type { Service, ServiceContext } from "../runtime/service.ts";
import { createBridgeMetrics } from "./bridge-metrics.ts";
import { GUARDS, type Guards } from "./guards.ts";
import { Leader } from "./leader.ts";
import { logFollowing } from "./logs/log-following.ts";
import type { DatabaseTarget } from "./postgres/preflight.ts";
import type { SetupNames } from "./postgres/setup-db.ts";

/** Added to nats-server's sync_interval before a message that it acknowledged counts as on disk. */
const SYNC_MARGIN_MS = 5_000;

/** @param guards what a test replaces */
export async function runBridge(context: ServiceContext, guards: Partial<Guards> = {}): Promise<Service> {
  const { config, log, metrics, scope } = context;
  const now = Date.now;
  const connect = (account: "CORE" | "STORE", within: Scope) =>
    connectService({ config, service: "bridge", account, log, scope: within });
  // Each term opens its own connections. A standby has none, so this shows at once whether there can be any.
  const trial = scope.child("trial");
  await Promise.all([connect("CORE", trial), connect("STORE", trial)]);
  await trial.close();

  const leader = new Leader({
    term: {
      connect,
      database: databaseTarget(config),
      names: setupNames(config),
      graph: replicaGraphOptions(config),
      syncDelay: config.syncInterval + SYNC_MARGIN_MS,
      publishSilent: config.publishSilent,
      guards: { ...GUARDS, ...guards },
      now,
    },
    reports: createBridgeMetrics(metrics, log, new LogLimiter({ log, now }), now),
    followLogs: logFollowing(context),
    log,
    scope,
  });
  const done = leader.run();
  await Promise.race([leader.started, done]);
  return {
    readiness: () => ({ replication: leader.condition }),
    async drain() {
      leader.stop();
      await done;
    },
    done,
  };
}

export function databaseTarget({ postgres, replication }: Config): DatabaseTarget {
  return {
    host: postgres.host,
    port: postgres.port,
    database: postgres.dbname,
    schema: replication.schema,
    user: postgres.user,
    ...(postgres.password === "" ? {} : { password: postgres.password }),
    ssl: sslOf(postgres.sslmode),
  };
}

/** libpq's sslmode in the driver's terms. */
function sslOf(mode: Config["postgres"]["sslmode"]): DatabaseTarget["ssl"] {
  switch (mode) {
    case "require":
      return { rejectUnauthorized: false };
    case "verify-ca":
      return { rejectUnauthorized: true, checkServerIdentity: () => undefined };
    case "verify-full":
      return { rejectUnauthorized: true };
    default:
      return false;
  }
}

export function setupNames({ replication }: Config): SetupNames {
  return {
    slot: replication.slot,
    publication: replication.publication,
    logPublication: `${replication.publication}_logs`,
  };
}
