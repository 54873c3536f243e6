/** What a follower of GRAPH says where it meets what it cannot take in: the log, the metrics, and the words for `/readyz`. */
import type { Counter } from "prom-client";
import type { Logger } from "../runtime/log/log.ts";
import type { FollowFailure } from "../runtime/nats/stream-follower.ts";
import type { GraphFailure, PermissionReplicaOptions } from "./permission-replica.ts";

export type ReplicaHealth = Required<Pick<PermissionReplicaOptions, "onFailure" | "onUnreadable">> & {
  /** A message of BARRIER could not be taken in. */
  onBarrierFailure: (failure: FollowFailure) => void;
};

/** Both count once each; a service declares its own. */
export type GraphCounters = { failures: Counter<"stream">; rows: Counter<"kind"> };

export function replicaHealth({ failures, rows }: GraphCounters, log: Logger): ReplicaHealth {
  return {
    onFailure(failure) {
      failures.inc({ stream: "GRAPH" });
      log.error(
        { ...failure },
        "a commit could not be applied to the permission graph: nobody is let in before it is read",
      );
    },
    onBarrierFailure({ sequence, reason, times }) {
      failures.inc({ stream: "BARRIER" });
      log.error({ sequence, reason, times }, "an entry of BARRIER could not be taken in: all of them are read again");
    },
    onUnreadable({ kind, uuid, sequence }) {
      rows.inc({ kind });
      log.warn({ kind, uuid, sequence }, "a row of GRAPH has not the shape of one: it counts as gone");
    },
  };
}

/** As a part of a sentence. */
export function failureSays({ what, sequence, times }: GraphFailure): string {
  return `the ${what} at sequence ${sequence} of GRAPH could not be applied (${times} times so far); it is read again`;
}
