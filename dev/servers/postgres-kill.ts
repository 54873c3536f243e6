/** SIGKILL for a process and all its children at once, so that none of them can tidy up or be started in between. */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Kills `pid` and its direct children (PostgreSQL's are all direct) and resolves when the children are gone. */
export async function killTree(pid: number): Promise<void> {
  // Stopped first: a postmaster that sees a child die would start to recover.
  process.kill(pid, "SIGSTOP");
  const children = await childrenOf(pid);
  for (const child of [pid, ...children]) kill(child);
  // Not our children, so no event tells: their end has to be looked for.
  for (const child of children) while (await lives(child)) await sleep(5);
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

async function childrenOf(pid: number): Promise<number[]> {
  const listed = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8").catch(() => null);
  if (listed !== null) return listed.trim().split(/\s+/).filter(Boolean).map(Number);
  const { stdout } = await run("ps", ["-A", "-o", "pid=,ppid="]);
  return stdout
    .split("\n")
    .map((line) => line.trim().split(/\s+/).map(Number))
    .flatMap(([child, parent]) => (parent === pid && child !== undefined ? [child] : []));
}

/** A zombie whose new parent does not collect it is dead all the same. */
async function lives(pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  const status = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => null);
  return status === null ? false : !/\) Z /.test(status);
}
