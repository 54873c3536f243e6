/** QUEUE holds one entry per container that is Queued, Locked or Running, for dispatchers. Final containers leave it. */
import type { JetStreamClient, JetStreamManager } from "@nats-io/jetstream";
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
const STREAM = "QUEUE";

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
  readonly #jsm: JetStreamManager;
  readonly #subjects: Subjects;

  constructor(js: JetStreamClient, jsm: JetStreamManager, subjects: Subjects) {
    this.#js = js;
    this.#jsm = jsm;
    this.#subjects = subjects;
  }

  /** Writes the entries of a commit's container rows. A final state is published, so that watchers see it, then removed. */
  async take(changes: readonly RowChange[]): Promise<void> {
    for (const change of changes) {
      if (change.table !== "containers" || change.row === null) continue;
      const { entry, waiting } = queueEntry(change.row);
      const subject = this.#subjects.queue(entry.uuid);
      await this.#js.publish(subject, JSON.stringify(entry));
      if (!waiting) await this.#jsm.streams.purge(STREAM, { filter: subject });
    }
  }
}
