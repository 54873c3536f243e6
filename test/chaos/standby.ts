/** A physical standby of a PostgreSQL: a copy of its data folder that follows by streaming. */
import { execFile } from "node:child_process";
import { appendFile, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { PostgresServer } from "../../dev/servers/postgres.ts";

const run = promisify(execFile);

/**
 * Makes the data folder of a standby beside the primary's, to be started by `startPostgres({ dataDir })`. The primary must not be running:
 * what it leaves is the state after a crash, which the standby recovers from, and then it streams. Slots are the primary's own, unless
 * something copies them.
 */
export async function standbyOf(
  { dataDir, host, port, user, password }: PostgresServer,
  { keepsSlots = false } = {},
): Promise<string> {
  const folder = `${dataDir}-standby`;
  await run("cp", ["-a", dataDir, folder]);
  await rm(join(folder, "postmaster.pid"), { force: true });
  const slots = join(folder, "pg_replslot");
  if (!keepsSlots) for (const slot of await readdir(slots)) await rm(join(slots, slot), { recursive: true });
  await writeFile(join(folder, "standby.signal"), "");
  const source = `host=${host} port=${port} user=${user} password=${password}`;
  await appendFile(join(folder, "postgresql.auto.conf"), `primary_conninfo = '${source}'\n`);
  return folder;
}
