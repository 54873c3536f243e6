/** QUEUE holds one entry per container that is Queued, Locked or Running, for dispatchers. Final ones leave it after a while. */
import type { JetStreamClient } from "@nats-io/jetstream";
import { headers as makeHeaders } from "@nats-io/nats-core";
import type { Subjects } from "../core/subjects.ts";
import type { RowChange } from "./commit.ts";

export type QueueEntry = {
  uuid: string;
  state: string;
  /** Exact: a decimal string, for priorities go beyond 2^53. */
  priority: string;
  locked_by_uuid: string | null;
};

const WAITING_STATES = new Set(["Queued", "Locked", "Running"]);
/** How long a final state stays to be read: it takes the last entry's place, then the server removes it. */
const FINAL_TTL = "60s";

/** A container row's queue entry, and whether the container is still to be dispatched or watched. Pure. */
export function queueEntry(row: Record<string, unknown>): { entry: QueueEntry; waiting: boolean } {
  const state = String(row.state);
  return {
    entry: {
      uuid: String(row.uuid),
      state,
      priority: String(row.priority ?? "0"),
      locked_by_uuid: typeof row.locked_by_uuid === "string" ? row.locked_by_uuid : null,
    },
    waiting: WAITING_STATES.has(state),
  };
}

export class QueueWriter {
  readonly #js: JetStreamClient;
  readonly #subjects: Subjects;

  constructor(js: JetStreamClient, subjects: Subjects) {
    this.#js = js;
    this.#subjects = subjects;
  }

  /** Writes the entries of a commit's container rows. */
  async take(changes: readonly RowChange[]): Promise<void> {
    for (const change of changes) {
      if (change.table !== "containers" || change.row === null) continue;
      const { entry, waiting } = queueEntry(change.row);
      const headers = makeHeaders();
      if (!waiting) headers.set("Nats-TTL", FINAL_TTL);
      await this.#js.publish(this.#subjects.queue(entry.uuid), JSON.stringify(entry), { headers });
    }
  }
}
