/** Commits for tests, as the bridge assembles them. */
import type { Commit } from "../../../bridge/commit/commit.ts";
import type { RowChange } from "../../../bridge/postgres/row.ts";
import { CommitRows } from "../../../bridge/rows/commit-rows.ts";
import type { LogRow } from "../../../bridge/rows/log-row.ts";
import { COMMIT_MEMORY, SpillList } from "../../../bridge/spill/spill-list.ts";

export function commitOf(
  rows: readonly RowChange[],
  logs: readonly LogRow[] = [],
  {
    memory = COMMIT_MEMORY,
    ...frame
  }: Partial<Pick<Commit, "lsn" | "xid" | "time">> & { memory?: typeof COMMIT_MEMORY } = {},
): Commit {
  const kept: Commit = {
    lsn: 1n,
    xid: 1,
    time: 0,
    ...frame,
    rows: new CommitRows(memory),
    logs: new SpillList<LogRow>(memory),
    badLogs: 0,
  };
  for (const row of rows) kept.rows.append(row);
  for (const log of logs) kept.logs.append(log, 100);
  return kept;
}

/** All that an async generator gives. */
export async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}
