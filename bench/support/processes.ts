/** Programs that a benchmark measures: started, waited for, their processor time read, ended. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const TICKS_PER_SECOND = 100;

export type RunningProgram = { pid: number; stop(): Promise<void> };

/** Resolves once it has printed `ready` (or `until` holds). */
export async function startProgram(
  command: string,
  args: string[],
  { env = {}, stdin, until }: { env?: Record<string, string>; stdin?: string; until?: () => Promise<boolean> },
): Promise<RunningProgram> {
  const child: ChildProcess = spawn(command, args, { cwd: ROOT, env: { ...process.env, ...env } });
  if (stdin !== undefined) child.stdin?.end(stdin);
  let said = "";
  const hear = (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-4_000);
  };
  child.stdout?.on("data", hear);
  child.stderr?.on("data", hear);
  for (let tries = 0; !(until ? await until() : said.includes("ready")); tries++) {
    if (child.exitCode !== null || tries > 1_000) throw new Error(`${command} does not start: ${said}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return {
    pid: child.pid as number,
    async stop() {
      const ended = once(child, "exit");
      child.kill("SIGTERM");
      await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 3_000))]);
      child.kill("SIGKILL");
    },
  };
}

/** Builds bench/go-callout; path of the program. */
export async function buildGoCallout(): Promise<string> {
  const path = `${ROOT}.cache/bench/go-callout`;
  await mkdir(`${ROOT}.cache/bench`, { recursive: true });
  await promisify(execFile)("go", ["build", "-trimpath", "-o", path, "."], { cwd: `${ROOT}bench/go-callout` });
  return path;
}

/** Processor time of a process so far, user and system, in milliseconds. */
export async function processorTime(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS_PER_SECOND;
}

/** Memory of a process that is in use, in bytes. */
export async function residentBytes(pid: number): Promise<number> {
  const pages = Number((await readFile(`/proc/${pid}/statm`, "latin1")).split(" ")[1]);
  return pages * 4_096;
}
