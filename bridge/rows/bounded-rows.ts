/** What of a commit GRAPH and GRAPHLOG can take: a row that is larger than any of Arvados' own denies, and stops nothing. Pure. */

import type { Replacement } from "../../core/rows.ts";
import { denyingChange } from "../../core/wire/graph-entry.ts";

/** Characters of a row's values; as JSON 768 KiB at the most, of the 1 MiB that nats-server takes. The largest of use are scopes. */
const MAX_ROW = 128 * 1024;
/** As long as Arvados' columns are; what is longer has no subject. */
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

/** What was there before and did not fit was never stored. */
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
