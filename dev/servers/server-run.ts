/** One run of a nats-server process: spawned, ready once its listeners are open, ended by its own pid. `nats-server.ts` starts them. */
import { type ChildProcess, spawn } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fault, reasonOf } from "../../core/errors.ts";
import type { ServerConf } from "../../streams-config/server-conf.ts";

export type Ports = { nats?: string[]; monitoring?: string[]; websocket?: string[] };

export type ServerRun = {
  child: ChildProcess;
  /** Undefined: it could not be started. */
  pid: number | undefined;
  /** Why it ended. */
  exited: Promise<string>;
  /** Somebody asked it to end. */
  expected: boolean;
  ready: boolean;
};

const START_TIMEOUT_MS = 15_000;
const STOP_TIMEOUT_MS = 10_000;
const POLL_MS = 10;

/**
 * A process group of its own: a Ctrl-C at the terminal must reach this program first, which stops its services before
 * their server. Should this program die instead, the minder ends the server.
 */
export function spawnServer(binary: string, confPath: string, onOutput: (text: string) => void): ServerRun {
  const child = spawn(binary, ["-c", confPath], { stdio: ["ignore", "pipe", "pipe"], detached: true });
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", onOutput);
  }
  const exited = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(reasonOf(error)));
    // `close`, not `exit`: by then its last words have been read.
    child.once("close", (code, signal) => resolve(signal ? `by ${signal}` : `with code ${code}`));
  });
  return { child, pid: child.pid, exited, expected: false, ready: false };
}

export async function endRun(run: ServerRun, signal: NodeJS.Signals): Promise<void> {
  run.expected = true;
  run.child.kill(signal);
  // A process that was stopped (SIGSTOP) handles no signal but SIGKILL before it continues.
  run.child.kill("SIGCONT");
  const patience = setTimeout(() => run.child.kill("SIGKILL"), STOP_TIMEOUT_MS);
  await run.exited;
  clearTimeout(patience);
}

/**
 * Resolves with the ports once all listeners are open.
 * @throws port.occupied, nats.unreachable; the process has ended then
 */
export async function portsOf(run: ServerRun, dir: string, conf: ServerConf, logs: () => string): Promise<Ports> {
  const outcome = await Promise.race([
    portsFile(dir, run),
    run.exited.then((reason) => ({ reason })),
    delay(START_TIMEOUT_MS, { reason: `no ports after ${START_TIMEOUT_MS / 1000} s` }, { ref: false }),
  ]);
  if (!("reason" in outcome)) return outcome;
  await endRun(run, "SIGKILL");
  throw startFault(conf, outcome.reason, logs());
}

/** Waits for the server's ports file; it appears when all listeners are open. */
async function portsFile(dir: string, run: ServerRun): Promise<Ports> {
  let over = false;
  void run.exited.then(() => {
    over = true;
  });
  while (!over) {
    for (const name of await readdir(dir)) {
      const ports = parsePorts(await readFile(join(dir, name), "utf8"));
      if (ports) return ports;
    }
    await delay(POLL_MS);
  }
  return new Promise(() => {});
}

/** null while the server has written only part of it. */
function parsePorts(text: string): Ports | null {
  try {
    const ports = JSON.parse(text) as Ports;
    return ports.nats?.length && ports.websocket?.length ? ports : null;
  } catch {
    return null;
  }
}

function startFault(conf: ServerConf, reason: string, logs: string): Error {
  const occupied = /listen tcp \S*?(\S+:\d+): bind: address already in use/.exec(logs);
  if (occupied) {
    return fault("port.occupied", { what: "nats-server", address: occupied[1] ?? "", setting: "nats.port" });
  }
  const error = logs
    .split("\n")
    .filter((line) => /\[(FTL|ERR)\]|^nats-server:/.test(line))
    .at(-1);
  const url = `nats://${conf.host ?? "127.0.0.1"}:${conf.ports?.client ?? -1}`;
  return fault("nats.unreachable", {
    url,
    reason: `it ended ${reason}${error ? `: ${error.replace(/^\[\d+\] \S+ \S+ /, "")}` : ""}`,
  });
}
