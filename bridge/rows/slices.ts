/** Work on very many rows in slices, so that the event loop gets turns: PostgreSQL ends a reader that is silent for a minute. */
import { setImmediate } from "node:timers/promises";
import type { Replacement } from "../../core/rows.ts";
import type { RowChange } from "../postgres/row.ts";
import { GraphEffect, type GraphRowSet } from "./graph-row-set.ts";

/** Rows that are handled before the event loop gets a turn. */
export const SLICE = 500;

export function* slicesOf<T>(items: Iterable<T>): Generator<T[], void, void> {
  let slice: T[] = [];
  for (const item of items) {
    slice.push(item);
    if (slice.length < SLICE) continue;
    yield slice;
    slice = [];
  }
  if (slice.length > 0) yield slice;
}

/** `GraphRowSet.apply`, in slices. */
export async function applySliced(state: GraphRowSet, rows: Iterable<RowChange>): Promise<Replacement[]> {
  const effect = new GraphEffect();
  for (const changes of slicesOf(rows)) {
    for (const change of changes) state.applyOne(change, effect);
    if (changes.length === SLICE) await setImmediate();
  }
  return state.finish(effect);
}
