/** A nats-server on loopback for the demo and the tests: its configuration is written here, and it restarts on the same ports and store. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type ServerConf, type ServerPorts, serverConf } from "../../streams-config/server-conf.ts";
import { freePorts } from "./free-ports.ts";
import { findNatsServer, type Log } from "./nats-binary.ts";
import { mind } from "./nats-minder.ts";
import { endRun, type Ports, portsOf, type ServerRun, spawnServer } from "./server-run.ts";

export { findNatsServer, type NatsBinary } from "./nats-binary.ts";

/** What to start: as nats-server's configuration, but where files go is the launcher's business. */
export type LaunchConf = Omit<ServerConf, "storeDir" | "portsFileDir">;

type LaunchOptions = {
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

export async function startNatsServer(options: LaunchOptions): Promise<NatsServer> {
  const binary = options.binary ?? (await findNatsServer(options.log ? { log: options.log } : {})).path;
  const dir = options.dir ?? (await mkdtemp(join(tmpdir(), "arvados-nats-server-")));
  const conf = { ...options.conf, ports: await chosenPorts(options.conf.ports) };
  const server = new LaunchedServer(options, binary, dir, conf);
  try {
    await server.launch();
  } catch (error) {
    await server.removeTemporary();
    throw error;
  }
  return server;
}

class LaunchedServer implements NatsServer {
  readonly dir: string;
  readonly confPath: string;
  readonly #options: LaunchOptions;
  readonly #binary: string;
  readonly #portsDir: string;
  #conf: ServerConf;
  #run: ServerRun | undefined;
  #ports: Ports = {};
  #output = "";

  constructor(options: LaunchOptions, binary: string, dir: string, conf: LaunchConf) {
    this.#options = options;
    this.#binary = binary;
    this.dir = dir;
    this.confPath = join(dir, "nats-server.conf");
    this.#portsDir = join(dir, "ports");
    this.#conf = { ...conf, storeDir: join(dir, "store"), portsFileDir: this.#portsDir };
  }

  get url(): string {
    return first(this.#ports.nats);
  }

  get websocketUrl(): string {
    return first(this.#ports.websocket);
  }

  get monitorUrl(): string | undefined {
    return this.#ports.monitoring?.[0];
  }

  get pid(): number {
    return this.#run?.pid ?? -1;
  }

  logs(): string {
    return this.#output;
  }

  async launch(): Promise<void> {
    await this.#writeFiles();
    let output = "";
    const run = spawnServer(this.#binary, this.confPath, (text) => {
      this.#output = (this.#output + text).slice(-LOG_BYTES);
      if (!run.ready) output += text;
    });
    this.#run = run;
    const { dir, onUnexpectedExit } = this.#options;
    const dismiss = run.pid === undefined ? () => {} : mind(run.pid, dir === undefined ? this.dir : undefined);
    void run.exited.then((reason) => {
      dismiss();
      if (run.ready && !run.expected) onUnexpectedExit?.(`nats-server ended: ${reason}`);
    });
    this.#ports = await portsOf(run, this.#portsDir, this.#conf, () => output);
    run.ready = true;
  }

  async stop(): Promise<void> {
    await this.#end("SIGTERM");
    await this.removeTemporary();
  }

  kill9(): Promise<void> {
    return this.#end("SIGKILL");
  }

  async restart(change: Partial<LaunchConf> = {}): Promise<void> {
    await this.#end("SIGTERM");
    this.#conf = { ...this.#conf, ...change };
    await this.launch();
  }

  async retire(within: number): Promise<void> {
    if (!this.#run) return;
    this.#run.expected = true;
    this.#run.child.kill("SIGUSR2");
    await Promise.race([this.#run.exited, delay(within, undefined, { ref: false })]);
    await this.#end("SIGTERM");
  }

  async removeTemporary(): Promise<void> {
    if (this.#options.dir === undefined) await rm(this.dir, { recursive: true, force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #writeFiles(): Promise<void> {
    await mkdir(this.dir, { recursive: true });
    await rm(this.#portsDir, { recursive: true, force: true });
    await mkdir(this.#portsDir, { recursive: true });
    await writeFile(this.confPath, serverConf(this.#conf) + (this.#options.more ?? ""), { mode: 0o600 });
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    if (this.#run) await endRun(this.#run, signal);
    this.#run = undefined;
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

function first(urls: string[] | undefined): string {
  return urls?.[0] ?? "";
}
