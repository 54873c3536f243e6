/** The part of a commit that fits into GRAPH and GRAPHLOG. A row larger than Arvados' own rows grants nothing, and delays nothing. Pure. */

import type { Replacement } from "../../core/rows.ts";
import { denyingChange } from "../../core/wire/graph-entry.ts";

/** Characters of a row's values: as JSON at most 768 KiB, of the 1 MiB that nats-server accepts. The largest useful values are scopes. */
const MAX_ROW = 128 * 1024;
/** The length of Arvados' columns. A longer uuid has no subject. */
const MAX_UUID = 255;

export type Bounded = { changes: Replacement[]; over: Replacement[] };

export function boundedChanges(all: readonly Replacement[]): Bounded {
  const over = all.filter((change) => !fits(change));
  if (over.length === 0) return { changes: [...all], over };
  const changes = all
    .filter(({ uuid }) => uuid.length <= MAX_UUID)
    .map((change) => (fits(change) ? change : cut(change)));
  return { changes, over };
}

function fits({ uuid, row, replaced }: Replacement): boolean {
  return uuid.length <= MAX_UUID && sizeOf(row) <= MAX_ROW && sizeOf(replaced) <= MAX_ROW;
}

/** A former row that did not fit was not stored: its denying row was. */
function cut({ kind, uuid, row, replaced }: Replacement): Replacement {
  const change = sizeOf(row) <= MAX_ROW ? { kind, uuid, row } : denyingChange(kind, uuid);
  const before = sizeOf(replaced) <= MAX_ROW ? replaced : denyingChange(kind, uuid).row;
  return { ...change, replaced: before } as Replacement;
}

function sizeOf(row: Replacement["row"]): number {
  if (row === null) return 0;
  let size = 0;
  for (const value of Object.values(row)) {
    if (typeof value === "string") size += value.length;
    else if (Array.isArray(value)) for (const item of value) size += String(item).length;
  }
  return size;
}
