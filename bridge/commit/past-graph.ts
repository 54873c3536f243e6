/**
 * The graph at the time at which repeated commits were first routed: the rows of GRAPH, put back by GRAPHLOG until they are not newer than the
 * first of those commits; then every commit is applied in order, also one that the rows hold already (rows are states, not differences).
 * It only routes events; grants are computed from GRAPH. `CommitHandler` uses it until it reaches the present.
 */
import { isDeepStrictEqual } from "node:util";
import { formatLsn, type Lsn } from "../../core/lsn.ts";
import type { GraphChange, GraphRows, Replacement } from "../../core/rows.ts";
import { visibleIn } from "../postgres/snapshot.ts";
import { GraphRowSet } from "../rows/graph-row-set.ts";
import { tableOfKind } from "../rows/graph-rows.ts";
import { applySliced } from "../rows/slices.ts";
import { rollBack, type Undo } from "../streams/graph-log.ts";
import type { Commit } from "./commit.ts";

export type PastGraphOptions = {
  clusterId: string;
  /** The rows of GRAPH by `kind:uuid`. The map is changed. */
  rows: Map<string, GraphChange>;
  undo: Undo;
  /** The changes from those rows to the present ones. */
  changes: Iterable<GraphChange>;
  /** The present rows hold no commit after this position: from there on they route. */
  until: Lsn;
  lookUpOwners: (state: GraphRowSet) => Promise<Replacement[]>;
};

export class PastGraph {
  readonly state: GraphRowSet;
  readonly until: Lsn;
  readonly #lookUpOwners: PastGraphOptions["lookUpOwners"];
  /** Commits that are in the rows from the start, and were first routed by them too. */
  readonly #contains: (xid: number) => boolean;
  /** By position of a commit: the owners that were looked up when it first came. */
  readonly #owners = new Map<string, GraphRows["owner"][]>();
  /** Rows in which this graph and the present one may differ. */
  readonly #differing = new Map<string, Pick<GraphChange, "kind" | "uuid">>();

  constructor({ clusterId, rows, undo, changes, until, lookUpOwners }: PastGraphOptions) {
    this.until = until;
    this.#lookUpOwners = lookUpOwners;
    this.#contains = undo.floor === null ? () => false : visibleIn(undo.floor);
    this.noteDiffering(changes);
    for (const { lsn, replaced } of undo.entries) {
      this.noteDiffering(replaced);
      for (const { row } of replaced) if (row) this.#owners.set(lsn, [...(this.#owners.get(lsn) ?? []), row]);
    }
    rollBack(rows, undo.entries);
    this.state = new GraphRowSet(clusterId);
    this.state.load(rows.values());
  }

  /** Applies a commit and returns its changes. */
  async repeat({ lsn, xid, rows }: Commit): Promise<Replacement[]> {
    if (this.#contains(xid)) return [];
    const changes = await applySliced(this.state, rows);
    for (const row of this.#owners.get(formatLsn(lsn)) ?? []) {
      const table = tableOfKind("owner", row.uuid);
      if (table) changes.push(this.state.setOwner(table, row));
    }
    changes.push(...(await this.#lookUpOwners(this.state)));
    this.noteDiffering(changes);
    return changes;
  }

  noteDiffering(changes: Iterable<Pick<GraphChange, "kind" | "uuid">>): void {
    for (const { kind, uuid } of changes) this.#differing.set(`${kind}:${uuid}`, { kind, uuid });
  }

  /** The changes from this graph to `present`. */
  changesTo(present: GraphRowSet): GraphChange[] {
    const changes = [...this.#differing.values()].map(
      ({ kind, uuid }) => ({ kind, uuid, row: present.row(kind, uuid) ?? null }) as GraphChange,
    );
    return changes.filter(({ kind, uuid, row }) => !isDeepStrictEqual(row, this.state.row(kind, uuid) ?? null));
  }
}
