/**
 * The graph as it was when commits that must be repeated were first routed: what GRAPH holds, put back by GRAPHLOG to hold nothing newer
 * than RECORDS' last event, and then every commit applied in its order, also those that it may hold already (rows are state, not
 * difference). It routes, and nothing else; grants are made from GRAPH.
 */
import { isDeepStrictEqual } from "node:util";
import { formatLsn, type Lsn } from "../core/lsn.ts";
import type { GraphChange } from "../core/rows.ts";
import type { Commit } from "./commit.ts";
import type { OwnersByCommit } from "./graph-log.ts";
import { tableOf } from "./graph-rows.ts";
import { GraphState } from "./graph-state.ts";

export type PastGraphOptions = {
  clusterId: string;
  rows: Iterable<GraphChange>;
  /** Rows in which these may differ from the present ones. */
  differing: Iterable<GraphChange>;
  owners: OwnersByCommit;
  /** Commits that the rows were read after, and that were routed by them at first too. */
  contains: (xid: number) => boolean;
  /** No commit behind this position is in the snapshot: from there on the present graph is the one to route by. */
  until: Lsn;
  lookUpOwners: (state: GraphState) => Promise<GraphChange[]>;
};

export class PastGraph {
  readonly state: GraphState;
  readonly until: Lsn;
  readonly #options: PastGraphOptions;
  readonly #differing = new Map<string, Pick<GraphChange, "kind" | "uuid">>();

  constructor(options: PastGraphOptions) {
    this.#options = options;
    this.until = options.until;
    this.state = new GraphState(options.clusterId);
    this.state.load(options.rows);
    this.noteDiffering(options.differing);
  }

  /** Applies a commit; returns what it changed. */
  async repeat({ lsn, xid, rows }: Commit): Promise<GraphChange[]> {
    const { contains, owners, lookUpOwners } = this.#options;
    if (contains(xid)) return [];
    const changes: GraphChange[] = this.state.apply(rows);
    for (const row of owners.get(formatLsn(lsn)) ?? []) {
      const table = tableOf("owner", row.uuid);
      if (table) changes.push(this.state.setOwner(table, row));
    }
    changes.push(...(await lookUpOwners(this.state)));
    this.noteDiffering(changes);
    return changes;
  }

  noteDiffering(changes: Iterable<GraphChange>): void {
    for (const { kind, uuid } of changes) this.#differing.set(`${kind}:${uuid}`, { kind, uuid });
  }

  /** What turns this graph into the one of `present`. */
  changesTo(present: GraphState): GraphChange[] {
    const changes = [...this.#differing.values()].map(
      ({ kind, uuid }) => ({ kind, uuid, row: present.row(kind, uuid) ?? null }) as GraphChange,
    );
    return changes.filter(({ kind, uuid, row }) => !isDeepStrictEqual(row, this.state.row(kind, uuid) ?? null));
  }
}
