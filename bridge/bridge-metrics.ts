/** The bridge's metrics and log lines about a term. `main.ts` creates them once; every term reports to the same listener. */
import { formatLsn } from "../core/lsn.ts";
import { formatRevision } from "../core/revision.ts";
import type { LogLimiter } from "../runtime/log/limiter.ts";
import type { Logger } from "../runtime/log/log.ts";
import type { Metrics } from "../runtime/metrics.ts";
import type { RunningTerm, TermListener } from "./term.ts";

export type BridgeMetrics = {
  /** All that a term reports but containers, which are the log follower's. */
  listener: Omit<TermListener, "onContainers">;
  onLeading(term: RunningTerm): void;
  onEnded(): void;
};

/** @param lines bounds the lines about rows: any user may write any number of them */
export function createBridgeMetrics(
  metrics: Metrics,
  log: Logger,
  lines: LogLimiter,
  now: () => number,
): BridgeMetrics {
  let beat: number | null = null;
  metrics.gauge("graph_age_seconds", "Time since the moment up to which GRAPH is complete", [], () =>
    beat === null ? Number.POSITIVE_INFINITY : (now() - beat) / 1000,
  );
  const published = metrics.counter("messages_total", "Messages published", ["stream", "batch"]);
  const lag = metrics.gauge("lag_bytes", "WAL that PostgreSQL has written and the streams do not hold yet");
  const retained = metrics.gauge("retained_wal_bytes", "WAL that PostgreSQL keeps for this bridge");
  const barrier = metrics.histogram("barrier_wait_seconds", "Time from a removal's mark until it is enforced");
  return {
    listener: {
      onPublished: (stream, messages, isBatch) => published.inc({ stream, batch: String(isBatch) }, messages),
      onCut(revision, waited) {
        barrier.observe(waited / 1000);
        log.debug({ revision: formatRevision(revision), ms: waited }, "removal enforced");
      },
      onBeat({ time, flushed, stored, confirmed }) {
        beat = time;
        lag.set(Math.max(0, Number(flushed - stored)));
        retained.set(Math.max(0, Number(flushed - confirmed)));
      },
      ...commitReports(metrics, log),
      ...rowReports(metrics, log, lines),
    },
    ...termReports(metrics, log),
  };
}

function commitReports(metrics: Metrics, log: Logger): Pick<TermListener, "onCommit"> {
  const commits = metrics.counter("commits_total", "Commits read from PostgreSQL");
  const events = metrics.counter("events_total", "Record events that had a route");
  const untrue = metrics.counter("untrue_log_rows_total", "Log rows without a change of their object");
  return {
    onCommit(handled, { lsn }) {
      commits.inc();
      events.inc(handled.events);
      untrue.inc(handled.untrue);
      log.debug({ lsn: formatLsn(lsn), events: handled.events }, "commit");
    },
  };
}

type RowReports = Pick<TermListener, "onDropped" | "onReduced" | "onTooDeep" | "onUnreadable" | "onOver">;

function rowReports(metrics: Metrics, log: Logger, lines: LogLimiter): RowReports {
  const unreadable = metrics.counter(
    "unreadable_values_total",
    "Values of rows that cannot be understood, and so grant nothing",
    ["table", "column"],
  );
  const dropped = metrics.counter(
    "custom_events_dropped_total",
    "Custom events without a route because their writer had spent a minute's allowance",
  );
  const reduced = metrics.counter(
    "reduced_rows_total",
    "Rows left out because handling them failed, which is a defect of ours",
  );
  const tooDeep = metrics.counter(
    "events_too_deep_total",
    "Record events that lack a route because their object is nested too deep",
  );
  const over = metrics.counter("graph_rows_over_total", "Rows too large for GRAPH: they grant nothing", ["kind"]);
  return {
    onDropped: () => dropped.inc(),
    onReduced(error) {
      reduced.inc();
      const what = "a log row could not be made an event: it is left out";
      lines.say("error", "left out", () => ({ err: error }), what);
    },
    onTooDeep(uuid) {
      tooDeep.inc();
      const what = "an object is nested too deep for a subject: its events lack routes";
      lines.say("warn", "too deep", () => ({ uuid }), what);
    },
    onUnreadable(table, column) {
      unreadable.inc({ table, column });
      const what = "a row holds a value that cannot be understood: it grants nothing";
      lines.say("warn", `${table}.${column}`, () => ({ table, column }), what);
    },
    onOver({ kind, uuid }) {
      over.inc({ kind });
      log.warn({ kind, uuid }, "a row is too large for GRAPH: it grants nothing");
    },
  };
}

function termReports(metrics: Metrics, log: Logger): Pick<BridgeMetrics, "onLeading" | "onEnded"> {
  const leading = metrics.gauge("leading", "1 while this bridge holds the replication slot");
  const terms = metrics.counter("terms_total", "Terms that this bridge began");
  const epochs = metrics.gauge("epoch", "The epoch in which this bridge leads");
  const touched = metrics.counter(
    "publication_changes_total",
    "Terms that began after what PostgreSQL publishes was changed, so that commits may have been missed",
  );
  return {
    onLeading({ epoch, reason, revision }) {
      leading.set(1);
      terms.inc();
      epochs.set(epoch);
      if (reason === "publications changed") touched.inc();
      if (reason !== null && reason !== "first start") log.warn({ epoch, reason }, "a new epoch begins");
      log.info({ revision: formatRevision(revision), epoch }, "leading: the graph is published");
    },
    onEnded: () => leading.set(0),
  };
}
