/**
 * What happens to a commit: its graph changes go to GRAPH; if they take a right away, a barrier is marked, and records from
 * this commit on wait behind it; then its events are routed by the graph as of this commit.
 */
import type { PermissionGraph } from "../core/graph/permission-graph.ts";
import type { Revision } from "../core/revision.ts";
import type { GraphChange, PermissionChange } from "../core/rows.ts";
import type { Subjects } from "../core/subjects.ts";
import type { Commit } from "./commit.ts";
import { type EventToRoute, eventsOf } from "./event.ts";
import type { GraphState } from "./graph-state.ts";
import type { GraphWriter } from "./graph-writer.ts";
import type { QueueWriter } from "./queue-writer.ts";
import type { RecordsWriter } from "./records-writer.ts";

export type CommitHandlerParts = {
  state: GraphState;
  graph: PermissionGraph;
  writer: GraphWriter;
  records: RecordsWriter;
  queue: QueueWriter;
  subjects: Subjects;
  /** Marks a barrier at this revision. */
  mark: (revision: Revision) => void;
  lookUpOwners: () => Promise<GraphChange[]>;
  now: () => number;
};

/** What became of a commit; `events` counts those with a route. */
export type Handled = { revision: Revision; events: number; untrue: number };

export class CommitHandler {
  readonly #parts: CommitHandlerParts;

  constructor(parts: CommitHandlerParts) {
    this.#parts = parts;
  }

  /** @param inSnapshot the graph was read after this commit, so it holds its changes already */
  async handle(commit: Commit, inSnapshot: boolean): Promise<Handled> {
    const { state, writer, records, queue } = this.#parts;
    if (!inSnapshot) await this.#applyGraph(commit);
    const revision = writer.revision;
    const { events, untrue } = eventsOf(commit, state);
    await queue.take(commit.rows);
    const routed = events
      .map((item) => ({ event: item.event, subjects: this.#subjectsOf(item) }))
      .filter((item) => item.subjects.length > 0);
    if (routed.length > 0) {
      const behind = records.barrier.marked;
      await records.take({ lsn: commit.lsn, time: commit.time, revision, behind, events: routed });
    }
    return { revision, events: routed.length, untrue };
  }

  async #applyGraph(commit: Commit): Promise<void> {
    const { state, graph, writer, mark, lookUpOwners } = this.#parts;
    const changes = state.apply(commit.rows);
    if (changes.length === 0) return;
    changes.push(...(await lookUpOwners()));
    const effect = graph.apply(changes.filter(isPermissionChange));
    const revision = await writer.write(changes, commit.lsn, commit.time);
    if (effect.shrank.size > 0 || effect.disputed || endsTokens(commit, changes) || mayEndRole(commit)) mark(revision);
  }

  #subjectsOf({ facts, deleted, left }: EventToRoute): string[] {
    const { graph, now, subjects } = this.#parts;
    if (deleted) return graph.routeDelete(facts).map(subjects.record);
    const present = graph.route(facts, now());
    const tails = left === undefined ? present : graph.routeLeft(facts, left).filter((tail) => !present.includes(tail));
    return tails.map(subjects.record);
  }
}

export function isPermissionChange(change: GraphChange): change is PermissionChange {
  return change.kind !== "token" && change.kind !== "container";
}

/** May somebody have left a group to which the settings give a role? That shows in no grant, and is the callout's to know. */
function mayEndRole(commit: Commit): boolean {
  return commit.rows.some((row) => row.table === "links" && row.op !== "insert");
}

/** May a token have lost something? (A new one cannot.) */
function endsTokens(commit: Commit, changes: readonly GraphChange[]): boolean {
  return (
    changes.some((change) => change.kind === "token") &&
    commit.rows.some((row) => row.table === "api_client_authorizations" && row.op !== "insert")
  );
}
