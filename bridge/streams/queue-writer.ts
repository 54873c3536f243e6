/**
 * Writes QUEUE: one entry for each container that is Queued, Locked or Running, for dispatchers. Final containers leave it. Like a record, an
 * entry waits until the removals before it are enforced, so that a user who is no dispatcher any more does not get later containers.
 */
import type { Barrier } from "../../core/barrier/bridge-side.ts";
import type { Revision } from "../../core/revision.ts";
import type { Subjects } from "../../core/subjects.ts";
import type { RowChange } from "../postgres/row.ts";
import type { FencedPublisher, Message } from "./publisher.ts";

export type QueueEntry = {
  uuid: string;
  state: string;
  /** A decimal string, because priorities may be above 2^53. */
  priority: string;
  locked_by_uuid: string | null;
};

const WAITING_STATES = new Set(["Queued", "Locked", "Running"]);
/** A final state stays this long for readers; then nats-server removes the entry. */
const FINAL_TTL = "60s";

/** A container row's queue entry, and whether the container waits or runs. Pure. */
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

/** The entries that bring the stored ones (JSON by uuid) to those wanted. A stored one that is not wanted becomes cancelled. Pure. */
function queueDifference(stored: ReadonlyMap<string, string>, wanted: ReadonlyMap<string, QueueEntry>): QueueEntry[] {
  const out = [...wanted.values()].filter((entry) => stored.get(entry.uuid) !== JSON.stringify(entry));
  for (const [uuid, text] of stored) {
    if (wanted.has(uuid) || !isWaiting(text)) continue;
    out.push({ uuid, state: "Cancelled", priority: "0", locked_by_uuid: null });
  }
  return out;
}

function isWaiting(text: string): boolean {
  try {
    return WAITING_STATES.has((JSON.parse(text) as Partial<QueueEntry> | null)?.state ?? "");
  } catch {
    return true;
  }
}

/** Replication waits while more entries wait for the barrier, those of the start not counted. */
const MAX_WAITING = 20_000;

type WaitingEntry = { behind: Revision; message: Message; onStored: () => void };

export class QueueWriter {
  readonly #publisher: Pick<FencedPublisher, "push" | "acknowledged">;
  readonly #subjects: Subjects;
  readonly #barrier: Pick<Barrier, "released">;
  /** Entries by container. Arvados writes a running container's row often without a change of its entry. */
  readonly #entries = new Map<string, string>();
  /** In commit order. */
  #waiting: WaitingEntry[] = [];
  #limit: number;
  #idle: (() => void)[] = [];

  /** @param barrier the one that RECORDS waits for */
  constructor(
    publisher: Pick<FencedPublisher, "push" | "acknowledged">,
    subjects: Subjects,
    barrier: Pick<Barrier, "released">,
    limit = MAX_WAITING,
  ) {
    this.#publisher = publisher;
    this.#subjects = subjects;
    this.#barrier = barrier;
    this.#limit = limit;
  }

  /** Entries that wait for a barrier. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** At the start of a term: brings the stream to the database, behind everything that happened before. */
  bringIntoLine(
    stored: ReadonlyMap<string, string>,
    wanted: ReadonlyMap<string, QueueEntry>,
    behind: Revision,
  ): number {
    for (const [uuid, text] of stored) this.#entries.set(uuid, text);
    const entries = queueDifference(stored, wanted);
    this.#limit += entries.length;
    for (const entry of entries) this.#put(entry, WAITING_STATES.has(entry.state), behind, () => {});
    this.release();
    return entries.length;
  }

  /**
   * Writes the entries of a commit's container rows once the removals up to `behind` are enforced. `open` is called for each entry, and `close`
   * once it is stored.
   */
  enqueue(changes: Iterable<RowChange>, behind: Revision, open: () => void, close: () => void): void {
    for (const change of changes) {
      if (change.table !== "containers" || change.row === null) continue;
      const { entry, waiting } = queueEntry(change.row);
      const known = this.#entries.get(entry.uuid);
      if (waiting ? known === JSON.stringify(entry) : known === undefined && change.op === "update") continue;
      open();
      this.#put(entry, waiting, behind, close);
    }
    this.release();
  }

  /** Resolves when there is room for the next commit. @throws the fault that publishing failed with */
  async room(): Promise<void> {
    while (this.#waiting.length > this.#limit) await new Promise<void>((resolve) => this.#idle.push(resolve));
    await this.#publisher.acknowledged(1_000);
  }

  /** Publishes the entries that need not wait any more, after a cut. */
  release(): void {
    let count = 0;
    for (const { behind, message, onStored } of this.#waiting) {
      if (!this.#barrier.released(behind)) break;
      count++;
      this.#publisher.push([message], onStored);
    }
    if (count === 0) return;
    this.#waiting.splice(0, count);
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  #put(entry: QueueEntry, waiting: boolean, behind: Revision, onStored: () => void): void {
    const body = JSON.stringify(entry);
    const message: Message = {
      subject: this.#subjects.queue(entry.uuid),
      headers: waiting ? {} : { "Nats-TTL": FINAL_TTL },
      body,
    };
    if (waiting) this.#entries.set(entry.uuid, body);
    else this.#entries.delete(entry.uuid);
    this.#waiting.push({ behind, message, onStored });
  }
}
