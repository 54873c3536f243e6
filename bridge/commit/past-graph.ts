/**
 * The graph as it was when commits that must be repeated were first routed: what GRAPH holds, put back by GRAPHLOG to hold nothing newer
 * than the first of them, and then every commit applied in its order, also those that it may hold already (rows are state, not
 * difference). It routes, and nothing else: what sessions may read is made from GRAPH.
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
  /** What GRAPH holds, by `kind:uuid`. It is put back in place. */
  rows: Map<string, GraphChange>;
  undo: Undo;
  /** What turns those rows into the present ones. */
  changes: Iterable<GraphChange>;
  /** No commit behind this position is in the present rows: from there on they are the ones to route by. */
  until: Lsn;
  lookUpOwners: (state: GraphRowSet) => Promise<Replacement[]>;
};

export class PastGraph {
  readonly state: GraphRowSet;
  readonly until: Lsn;
  readonly #lookUpOwners: PastGraphOptions["lookUpOwners"];
  /** Commits that the rows were read after, and that were routed by them at first too. */
  readonly #contains: (xid: number) => boolean;
  /** Owners that were looked up when their commit first came, by its position. */
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

  /** Applies a commit; returns what it changed. */
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

  /** What turns this graph into the one of `present`. */
  changesTo(present: GraphRowSet): GraphChange[] {
    const changes = [...this.#differing.values()].map(
      ({ kind, uuid }) => ({ kind, uuid, row: present.row(kind, uuid) ?? null }) as GraphChange,
    );
    return changes.filter(({ kind, uuid, row }) => !isDeepStrictEqual(row, this.state.row(kind, uuid) ?? null));
  }
}
