/** A bridge in its own process, which is started again whenever it ends, as a supervisor does. */
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const PROCESS = fileURLToPath(new URL("./bridge-process.ts", import.meta.url));

export type BridgeProcess = {
  readonly name: string;
  readonly pid: number;
  /** Its log, one JSON line each. */
  readonly lines: string[];
  /** Did it log that it leads, from line `after` on? */
  leads(after?: number): boolean;
  /** By its last such log line. */
  readonly isLeader: boolean;
  signal(signal: NodeJS.Signals): void;
  /** SIGKILL; it comes back at once. */
  kill9(): void;
  /** Ends it for good. */
  stop(): Promise<void>;
};

export function startBridge(name: string, args: readonly string[]): BridgeProcess {
  const lines: string[] = [];
  let child: ChildProcess;
  let stopped = false;
  let ended: Promise<void>;
  const launch = () => {
    child = spawn(process.execPath, ["--import", "tsx", PROCESS, ...args], { stdio: "pipe" });
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        lines.push(...text.split("\n").filter((line) => line !== ""));
      });
    }
    ended = new Promise((resolve) => {
      child.once("close", () => {
        if (stopped) return resolve();
        launch();
        resolve();
      });
    });
  };
  launch();
  return {
    name,
    get pid() {
      return child.pid ?? -1;
    },
    lines,
    leads: (after = 0) => lines.slice(after).some((line) => line.includes('"leading:')),
    get isLeader() {
      return lines.findLast((line) => /"leading:|"could not lead/.test(line))?.includes('"leading:') ?? false;
    },
    signal: (signal) => void child.kill(signal),
    kill9: () => void child.kill("SIGKILL"),
    async stop() {
      stopped = true;
      child.kill("SIGKILL");
      await ended;
    },
  };
}
