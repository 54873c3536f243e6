/** The demo as a person starts it: a process of its own. */
import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { chmod, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { until } from "../../dev/testing/until.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const READY_MS = 30_000;

function start(
  script: string,
  args: string[] = [],
  env: Record<string, string> = {},
): { child: ChildProcess; text: () => string; code: Promise<number | null> } {
  const child = spawn(process.execPath, ["--import", "tsx", script, ...args], {
    cwd: ROOT,
    env: { ...process.env, ...env },
  });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk) => {
      text += chunk;
    });
  }
  return { child, text: () => text, code: new Promise((resolve) => child.on("close", resolve)) };
}

/** Process ids of everything that a process has started, and what that has started. */
async function descendants(pid: number): Promise<number[]> {
  const { stdout } = await promisify(execFile)("ps", ["-eo", "pid=,ppid="]);
  const pairs = stdout.split("\n").map((line) => line.trim().split(/\s+/).map(Number));
  const found = [pid];
  for (const parent of found) for (const [child, of] of pairs) if (of === parent && child) found.push(child);
  return found.slice(1);
}

const alive = (pid: number) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};
describe("the demo", () => {
  it("tells its story without a person, and ends well", async () => {
    const run = start("test/demo/smoke.ts");
    assert.equal(await run.code, 0, run.text());
    assert.match(run.text(), /all as it should be/);
  });

  it("leaves no process and no file behind after Ctrl-C", async () => {
    const folder = await mkdtemp(join(tmpdir(), "arvados-nats-demo-"));
    // PostgreSQL's own user passes through here.
    await chmod(folder, 0o711);
    const run = start("cli/main.ts", ["dev"], { TMPDIR: folder });
    await until(() => run.text().includes("Ctrl-C ends it all"), "the demo to be ready", READY_MS);
    const processes = await descendants(run.child.pid ?? 0);
    assert.ok(processes.length >= 3, "PostgreSQL and nats-server run");
    run.child.kill("SIGINT");
    assert.equal(await run.code, 130, run.text());
    await until(() => !processes.some(alive), "every process to be gone");
    // What tsx keeps of compiled sources is not the demo's.
    const left = (await readdir(folder)).filter((name) => !name.startsWith("tsx-"));
    assert.deepEqual(left, []);
    await rm(folder, { recursive: true });
  });
});
