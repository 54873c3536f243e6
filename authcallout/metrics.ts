/** What the callout counts and measures. main.ts declares the counters first, and the gauges once the parts that they read exist. */
import type { Metrics } from "../runtime/metrics.ts";
import type { LookupResult } from "./lookup/token-lookup.ts";

export type CalloutGauges = Record<
  | "sessions"
  | "graphAge"
  | "graphRevision"
  | "overScopes"
  | "openCuts"
  | "silentServers"
  | "leading"
  | "acceptingLogins"
  | "waiting"
  | "paused",
  () => number
>;

export type CalloutMetrics = ReturnType<typeof calloutMetrics>;

const GRANT_BUCKETS = [1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000];

export function calloutMetrics(metrics: Metrics) {
  const requests = metrics.counter("requests_total", "Logins by result and, for refusals, reason", ["result", "code"]);
  const latency = metrics.histogram("request_seconds", "From a login's turn to its answer");
  const shed = metrics.counter("shed_total", "Logins dropped because they could not be answered in time", ["code"]);
  const grants = metrics.histogram("session_grants", "Subjects granted to a session", { buckets: GRANT_BUCKETS });
  const lookups = metrics.counter("lookups_total", "Tokens looked up at Arvados' API, by result", ["result"]);
  const revocations = metrics.histogram("revocation_seconds", "From COMMIT in PostgreSQL to the session's kick");
  const phases = metrics.histogram("barrier_seconds", "How long a phase of the barrier took", { labels: ["phase"] });
  const told = metrics.counter("sessions_told_total", "Sessions cut or notified, by reason", ["reason"]);
  const pauses = metrics.counter("pauses_total", "Pauses of the logins of one user, by cause", ["cause"]);
  return {
    login: () => latency.startTimer(),
    result(result: string, code: string, granted: number) {
      requests.inc({ result, code });
      if (result === "admitted") grants.observe(granted);
    },
    paused: (cause: string) => pauses.inc({ cause }),
    lookup: (result: LookupResult) => lookups.inc({ result }),
    shed: (code: string) => shed.inc({ code }),
    phase: (phase: "settle" | "cut", seconds: number) => phases.observe({ phase }, seconds),
    notified: (because: string) => told.inc({ reason: because }),
    cut(because: string, seconds: number | null) {
      told.inc({ reason: because });
      if (seconds !== null) revocations.observe(seconds);
    },
  };
}

export function declareGauges(metrics: Metrics, read: CalloutGauges): void {
  metrics.gauge("sessions", "Sessions that may be alive", [], read.sessions);
  metrics.gauge("graph_age_seconds", "Age of the permission graph", [], read.graphAge);
  metrics.gauge("graph_revision", "Sequence in GRAPH of the last commit applied", [], read.graphRevision);
  metrics.gauge("tokens_over_scopes", "Tokens with too many scopes: their logins are refused", [], read.overScopes);
  metrics.gauge("open_cuts", "Kicks that nats-server has not confirmed yet", [], read.openCuts);
  metrics.gauge("silent_servers", "nats-servers that do not answer: records wait for them", [], read.silentServers);
  metrics.gauge("leading", "1 while this replica runs the cutting rounds for all", [], read.leading);
  metrics.gauge("taking_logins", "1 while this replica is in the queue group", [], read.acceptingLogins);
  metrics.gauge("paused_users", "Users whose logins are paused", [], read.paused);
  metrics.gauge("logins_waiting", "Logins waiting for their turn", [], read.waiting);
}
