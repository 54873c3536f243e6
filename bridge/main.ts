/** The bridge service: waits for the replication slot, leads while it holds it, and tries again when something breaks. */
import { jetstreamManager } from "@nats-io/jetstream";
import { Fault, reasonOf } from "../core/errors.ts";
import { formatLsn } from "../core/lsn.ts";
import { formatRevision } from "../core/revision.ts";
import { replicaGraphOptions } from "../replica/replica-settings.ts";
import { retry } from "../runtime/backoff.ts";
import type { Config } from "../runtime/config/config.ts";
import { deferred } from "../runtime/deferred.ts";
import { LogLimiter } from "../runtime/log/limiter.ts";
import { connectService } from "../runtime/nats/service-connection.ts";
import type { Scope } from "../runtime/scope.ts";
import type { Readiness, Service, ServiceContext } from "../runtime/service.ts";
import type { Commit } from "./commit/commit.ts";
import { becomeLeader } from "./leader.ts";
import type { LogFollower } from "./logs/log-follower.ts";
import { logFollowing } from "./logs/log-following.ts";
import type { DatabaseTarget } from "./postgres/preflight.ts";
import type { SetupNames } from "./postgres/setup-db.ts";
import type { StreamEnds } from "./takeover/epoch.ts";

/** On top of nats-server's sync_interval, before what it acknowledged counts as on disk. */
const SYNC_MARGIN_MS = 5_000;
/** Short, so that a standby takes over within seconds. */
const BACKOFF = { min: 100, max: 2_000 };

/** What a test replaces. */
export type BridgeSeams = {
  /** false: publishes without the fence. */
  fenced?: boolean;
  /** false: records wait for no removal to be enforced. */
  barrier?: boolean;
  /** Called before each commit is handled. */
  onHandle?: (commit: Commit) => void;
  /** false: a change of the publications is not noticed. */
  watched?: boolean;
  /** false: routes what comes again by the graph of the present. */
  rollBack?: boolean;
};

export async function runBridge(context: ServiceContext, seams: BridgeSeams = {}): Promise<Service> {
  const { config, log, metrics, scope } = context;
  const now = Date.now;
  const connect = (account: "CORE" | "STORE", within: Scope) =>
    connectService({ config, service: "bridge", account, log, scope: within });
  // Each lead has connections of its own; that there can be any is known at once, by a standby too.
  const trial = scope.child("trial");
  await Promise.all([connect("CORE", trial), connect("STORE", trial)]);
  await trial.close();
  const names = setupNames(config);

  const commits = metrics.counter("commits_total", "Commits read from PostgreSQL");
  const events = metrics.counter("events_total", "Record events that had a route");
  const published = metrics.counter("messages_total", "Messages published", ["stream", "batch"]);
  const untrue = metrics.counter("untrue_log_rows_total", "Log rows with no change of their object behind them");
  const barrier = metrics.histogram("barrier_wait_seconds", "From a removal's mark to the word that it is enforced");
  const unreadable = metrics.counter(
    "unreadable_values_total",
    "Values of rows that say nothing that could be understood, and so grant nothing",
    ["table", "column"],
  );
  const dropped = metrics.counter(
    "custom_events_dropped_total",
    "Custom events without a route, since whoever wrote their log rows had spent a minute's allowance",
  );
  const reduced = metrics.counter(
    "reduced_rows_total",
    "Rows left out because handling them failed, which is a fault of ours",
  );
  const terms = metrics.counter("terms_total", "Times that this bridge took the lead");
  const over = metrics.counter("graph_rows_over_total", "Rows too large for GRAPH: they deny", ["kind"]);
  const leading = metrics.gauge("leading", "1 while this bridge holds the replication slot");
  const lag = metrics.gauge("lag_bytes", "WAL that PostgreSQL has written and the streams do not hold yet");
  const retained = metrics.gauge("retained_wal_bytes", "WAL that PostgreSQL keeps for this bridge");
  const epochs = metrics.gauge("epoch", "The epoch this bridge leads in");
  const touched = metrics.counter(
    "publication_changes_total",
    "Terms begun after somebody had changed what PostgreSQL publishes, so that commits may have been missed",
  );
  // Anybody may write any number of such rows.
  const lines = new LogLimiter({ log, now });
  const followLogs = logFollowing(context);
  const witness: { ends: StreamEnds | null } = { ends: null };
  let hasLed = false;
  let slotIsUnreadable = false;
  let beat: number | null = null;
  let state: Readiness[string] = { ok: false, says: "starting" };
  metrics.gauge("graph_age_seconds", "Age of what has been read of PostgreSQL and stands in GRAPH", [], () =>
    beat === null ? Number.POSITIVE_INFINITY : (now() - beat) / 1000,
  );

  const lead = async (signal: AbortSignal, onLeading: () => void): Promise<void> => {
    const term = scope.child("lead");
    let logs: LogFollower | null = null;
    try {
      const leader = await becomeLeader(
        {
          connect,
          database: databaseTarget(config),
          slot: names.slot,
          slotIsUnreadable,
          publications: [names.publication, names.logPublication],
          graph: replicaGraphOptions(config),
          syncDelay: config.syncInterval + SYNC_MARGIN_MS,
          publishSilent: config.publishSilent,
          witness,
          now,
          ...seams,
          onPublished: (stream, messages, isBatch) => published.inc({ stream, batch: String(isBatch) }, messages),
          onCommit: (handled, commit) => {
            commits.inc();
            events.inc(handled.events);
            untrue.inc(handled.untrue);
            log.debug({ lsn: formatLsn(commit.lsn), events: handled.events }, "commit");
          },
          onContainers: (changes) => logs?.apply(changes),
          onDropped: () => dropped.inc(),
          onReduced: (error) => {
            reduced.inc();
            lines.say(
              "error",
              "left out",
              () => ({ err: error }),
              "a log row could not be made an event: it is left out",
            );
          },
          onUnreadable: (table, column) => {
            unreadable.inc({ table, column });
            const what = "a row holds a value that cannot be understood: it grants nothing";
            lines.say("warn", `${table}.${column}`, () => ({ table, column }), what);
          },
          onCut: (revision, waited) => {
            barrier.observe(waited / 1000);
            log.debug({ revision: formatRevision(revision), ms: waited }, "removal enforced");
          },
          onOver: ({ kind, uuid }) => {
            over.inc({ kind });
            log.warn({ kind, uuid }, "a row is too large for GRAPH: it counts as gone");
          },
          onBeat: ({ time, flushed, stored, confirmed }) => {
            beat = time;
            lag.set(Math.max(0, Number(flushed - stored)));
            retained.set(Math.max(0, Number(flushed - confirmed)));
          },
        },
        term,
      );
      hasLed = true;
      slotIsUnreadable = false;
      leading.set(1);
      terms.inc();
      epochs.set(leader.epoch);
      state = { ok: true, says: `leading from revision ${formatRevision(leader.revision)}` };
      const { epoch, reason } = leader;
      if (reason === "publications changed") touched.inc();
      if (reason !== null && reason !== "first start") log.warn({ epoch, reason }, "a new epoch begins");
      log.info({ revision: formatRevision(leader.revision), epoch }, "leading: the graph is published");
      if (followLogs) {
        const nc = await connect("STORE", term);
        logs = followLogs(nc, await jetstreamManager(nc), leader.state, term);
      }
      onLeading();
      const stopped = deferred<null>();
      signal.addEventListener("abort", () => stopped.resolve(null), { once: true });
      // Asked to end while it was on its way here.
      if (signal.aborted) stopped.resolve(null);
      const error = await Promise.race([leader.ended, stopped.promise]);
      if (error) throw error;
    } finally {
      leading.set(0);
      await term.close();
    }
  };

  const started = deferred<void>();
  const stop = new AbortController();
  const signal = AbortSignal.any([scope.signal, stop.signal]);
  const run = async () => {
    while (!signal.aborted) {
      await retry(() => lead(signal, started.resolve), {
        what: "lead",
        log,
        backoff: BACKOFF,
        signal,
        retryable(error) {
          state = { ok: false, says: reasonOf(error) };
          if (error instanceof Fault && error.code === "slot.unreadable") slotIsUnreadable = true;
          // A standby has started: it does its work by waiting.
          if (error instanceof Fault && error.code === "slot.busy") started.resolve();
          if (!(error instanceof Fault) || error.handling === "retry") return true;
          // The database was right once: what an admin has changed under a running bridge, an admin may mend.
          return hasLed && error.code.startsWith("postgres.");
        },
      }).catch((error: unknown) => {
        // A standby that is asked to end has nothing more to try: that is how it ends in order.
        if (!signal.aborted) throw error;
        log.info({ reason: reasonOf(error) }, "gave up trying, as it was asked to end");
      });
    }
  };
  const done = run();
  await Promise.race([started.promise, done]);

  return {
    readiness: () => ({ replication: state }),
    // There is nothing to finish: what is not confirmed is read again by the next leader.
    async drain() {
      stop.abort();
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
