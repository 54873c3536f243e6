/** A nats-server process on loopback for the demo and the tests: written configuration, ports found out, ended by its own pid. */

import { type ChildProcess, spawn } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fault, reasonOf } from "../../core/errors.ts";
import { type ServerConf, type ServerPorts, serverConf } from "../../streams-config/server-conf.ts";
import { freePorts } from "./free-ports.ts";
import { findNatsServer, type Log } from "./nats-binary.ts";
import { mind } from "./nats-minder.ts";

export { findNatsServer, type NatsBinary } from "./nats-binary.ts";

/** What to start: as nats-server's configuration, but where files go is the launcher's business. */
export type LaunchConf = Omit<ServerConf, "storeDir" | "portsFileDir">;

export type LaunchOptions = {
  conf: LaunchConf;
  /** Where configuration and streams are kept. Left out: a temporary folder that `stop` removes. */
  dir?: string;
  /** Lines behind the rendered configuration: what an installation might add to it. */
  more?: string;
  /** The binary; left out: `findNatsServer()`. */
  binary?: string;
  log?: Log;
  /** Called when the process ends and nobody asked it to. */
  onUnexpectedExit?: (reason: string) => void;
};

export type NatsServer = AsyncDisposable & {
  /** `nats://127.0.0.1:<port>` */
  readonly url: string;
  /** `ws://127.0.0.1:<port>` */
  readonly websocketUrl: string;
  /** `http://127.0.0.1:<port>`, where the configuration asks for monitoring. */
  readonly monitorUrl: string | undefined;
  readonly pid: number;
  readonly confPath: string;
  readonly dir: string;
  /** What the server wrote, all runs, the last megabyte. */
  logs(): string;
  /** Ends it in order (SIGTERM) and removes a temporary folder. */
  stop(): Promise<void>;
  /** SIGKILL; folder and ports stay for `restart`. */
  kill9(): Promise<void>;
  /** Stops it if it runs, and starts it again on the same ports and store, with what is to be changed. */
  restart(change?: Partial<LaunchConf>): Promise<void>;
  /** Tells clients to go elsewhere (lame duck), and stops it once they have, or after so many ms. */
  retire(within: number): Promise<void>;
};

const LOG_BYTES = 1024 * 1024;
const START_TIMEOUT_MS = 15_000;
const STOP_TIMEOUT_MS = 10_000;
const POLL_MS = 10;

type Ports = { nats?: string[]; monitoring?: string[]; websocket?: string[] };
type Run = {
  child: ChildProcess /** Undefined: it could not be started. */;
  pid: number | undefined;
  exited: Promise<string>;
  expected: boolean;
  ready: boolean;
};

export async function startNatsServer(options: LaunchOptions): Promise<NatsServer> {
  const binary = options.binary ?? (await findNatsServer(options.log ? { log: options.log } : {})).path;
  const dir = options.dir ?? (await mkdtemp(join(tmpdir(), "arvados-nats-server-")));
  const confPath = join(dir, "nats-server.conf");
  const portsDir = join(dir, "ports");
  let conf: ServerConf = {
    ...options.conf,
    ports: await chosenPorts(options.conf.ports),
    storeDir: join(dir, "store"),
    portsFileDir: portsDir,
  };
  let output = "";
  let run: Run | undefined;
  let ports: Ports;

  const launch = async (): Promise<void> => {
    await mkdir(dir, { recursive: true });
    await rm(portsDir, { recursive: true, force: true });
    await mkdir(portsDir, { recursive: true });
    await writeFile(confPath, serverConf(conf) + (options.more ?? ""), { mode: 0o600 });
    let said = "";
    const started = spawnServer(binary, confPath, (text) => {
      output = (output + text).slice(-LOG_BYTES);
      if (!started.ready) said += text;
    });
    run = started;
    const dismiss =
      started.pid === undefined ? () => {} : mind(started.pid, options.dir === undefined ? dir : undefined);
    void started.exited.then((reason) => {
      dismiss();
      if (started.ready && !started.expected) options.onUnexpectedExit?.(`nats-server ended: ${reason}`);
    });
    const outcome = await Promise.race([
      portsFile(portsDir, started),
      started.exited.then((reason) => ({ reason })),
      delay(START_TIMEOUT_MS, { reason: `no ports after ${START_TIMEOUT_MS / 1000} s` }, { ref: false }),
    ]);
    if ("reason" in outcome) {
      await end(started, "SIGKILL");
      throw startFault(conf, outcome.reason, said);
    }
    started.ready = true;
    ports = outcome;
  };

  const stopRun = async (signal: NodeJS.Signals): Promise<void> => {
    if (run) await end(run, signal);
    run = undefined;
  };
  const removeTemporary = async (): Promise<void> => {
    if (options.dir === undefined) await rm(dir, { recursive: true, force: true });
  };

  try {
    await launch();
  } catch (error) {
    await removeTemporary();
    throw error;
  }
  const stop = async (): Promise<void> => {
    await stopRun("SIGTERM");
    await removeTemporary();
  };
  return {
    get url() {
      return first(ports.nats);
    },
    get websocketUrl() {
      return first(ports.websocket);
    },
    get monitorUrl() {
      return ports.monitoring?.[0];
    },
    get pid() {
      return run?.pid ?? -1;
    },
    confPath,
    dir,
    logs: () => output,
    stop,
    kill9: () => stopRun("SIGKILL"),
    retire: async (within) => {
      if (!run) return;
      run.expected = true;
      run.child.kill("SIGUSR2");
      await Promise.race([run.exited, delay(within, undefined, { ref: false })]);
      await stopRun("SIGTERM");
    },
    restart: async (change = {}) => {
      await stopRun("SIGTERM");
      conf = { ...conf, ...change };
      await launch();
    },
    [Symbol.asyncDispose]: stop,
  };
}

/**
 * A process group of its own: a Ctrl-C at the terminal must reach this program first, which stops its services before
 * their server. Should this program die instead, the minder ends the server.
 */
function spawnServer(binary: string, confPath: string, onOutput: (text: string) => void): Run {
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

async function end(run: Run, signal: NodeJS.Signals): Promise<void> {
  run.expected = true;
  run.child.kill(signal);
  // One that was stopped (SIGSTOP) takes no signal but SIGKILL before it goes on.
  run.child.kill("SIGCONT");
  const patience = setTimeout(() => run.child.kill("SIGKILL"), STOP_TIMEOUT_MS);
  await run.exited;
  clearTimeout(patience);
}

/** Waits for the server's ports file; it appears when all listeners are open. */
async function portsFile(dir: string, run: Run): Promise<Ports> {
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

/** What is left open (-1) is chosen here and not by the server: a restart must be found where clients look for it. */
async function chosenPorts({
  client = -1,
  websocket = -1,
  monitor = null,
}: Partial<ServerPorts> = {}): Promise<ServerPorts> {
  const free = await freePorts(3);
  const chosen = (port: number) => (port > 0 ? port : (free.pop() as number));
  return { client: chosen(client), websocket: chosen(websocket), monitor: monitor === null ? null : chosen(monitor) };
}

function startFault(conf: ServerConf, reason: string, logs: string): Error {
  const occupied = /listen tcp \S*?(\S+:\d+): bind: address already in use/.exec(logs);
  if (occupied) {
    return fault("port.occupied", { what: "nats-server", address: occupied[1] ?? "", setting: "nats.port" });
  }
  const said = logs
    .split("\n")
    .filter((line) => /\[(FTL|ERR)\]|^nats-server:/.test(line))
    .at(-1);
  const url = `nats://${conf.host ?? "127.0.0.1"}:${conf.ports?.client ?? -1}`;
  return fault("nats.unreachable", {
    url,
    reason: `it ended ${reason}${said ? `: ${said.replace(/^\[\d+\] \S+ \S+ /, "")}` : ""}`,
  });
}

function first(urls: string[] | undefined): string {
  return urls?.[0] ?? "";
}
