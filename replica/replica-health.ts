/** What is logged, counted and shown at `/readyz` when a service cannot apply a message of GRAPH or BARRIER. */
import type { Logger } from "../runtime/log/log.ts";
import type { Metrics } from "../runtime/metrics.ts";
import type { FollowFailure } from "../runtime/nats/stream-follower.ts";
import type { GraphFailure, PermissionReplicaOptions } from "./permission-replica.ts";

export type ReplicaHealth = Required<Pick<PermissionReplicaOptions, "onFailure" | "onUnreadable" | "onTrouble">> & {
  /** A message of BARRIER could not be applied. */
  onBarrierFailure: (failure: FollowFailure) => void;
};

export function replicaHealth(metrics: Metrics, log: Logger): ReplicaHealth {
  const failures = metrics.counter("stream_failures_total", "Times a stream was read again: a message did not apply", [
    "stream",
  ]);
  const rows = metrics.counter("graph_unreadable_rows_total", "Rows of GRAPH that cannot be read: they grant nothing", [
    "kind",
  ]);
  return {
    onTrouble: (reason) => log.warn({ reason }, "reading the permission graph was interrupted; following again"),
    onFailure(failure) {
      failures.inc({ stream: "GRAPH" });
      log.error(
        { ...failure },
        "a commit could not be applied to the permission graph: no login is accepted before GRAPH is read again",
      );
    },
    onBarrierFailure({ sequence, reason, times }) {
      failures.inc({ stream: "BARRIER" });
      log.error({ sequence, reason, times }, "an entry of BARRIER could not be applied: BARRIER is read again");
    },
    onUnreadable({ kind, uuid, sequence }) {
      rows.inc({ kind });
      log.warn({ kind, uuid, sequence }, "a row of GRAPH cannot be read: it counts as deleted");
    },
  };
}

/** As a part of a sentence. */
export function failureSays({ what, sequence, times }: GraphFailure): string {
  return `the ${what} at sequence ${sequence} of GRAPH could not be applied (${times} times so far); it is read again`;
}
