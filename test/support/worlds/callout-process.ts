/** More replicas of authcallout: in a process of their own, which a test can suspend, resume or kill; and in this process. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { type AuthcalloutSeams, type AuthcalloutService, runAuthcallout } from "../../../authcallout/main.ts";
import type { SystemAccount } from "../../../authcallout/sessions/system-account.ts";
import { freePorts } from "../../../dev/servers/free-ports.ts";
import { until } from "../../../dev/testing/until.ts";
import type { Config } from "../../../runtime/config/config.ts";
import { createLog, silentLog } from "../../../runtime/log/log.ts";
import { createScope } from "../../../runtime/scope.ts";
import type { ServiceContext } from "../../../runtime/service.ts";
import { type HostedService, hostService } from "../../../runtime/service-host.ts";
import type { TestStack } from "./stack.ts";

/** What it does to itself once it is armed (faulty-callout.ts). */
export type Accident = {
  /** At the next kick, with or without which it dies; no other one is sent. */
  dies?: "before a kick" | "after a kick";
  /** At the next login that it answers: said is `answer in hand`, and when. */
  stops?: "with an answer in hand";
  /** Milliseconds by which each kick is late. */
  kickDelay?: number;
};

export type CalloutProcess = AsyncDisposable & {
  /** `/readyz`, or null while it does not answer. */
  readiness(): Promise<Record<string, { ok: boolean; says: string }> | null>;
  /** The steps of its accident so far, and each `kick`. */
  readonly said: readonly string[];
  readonly replica: string;
  /** When it stopped (UTC ms), which may be some time before anybody knows. */
  stoppedAt(): number;
  arm(): Promise<void>;
  /** SIGSTOP, SIGCONT, SIGKILL. */
  signal(name: NodeJS.Signals): void;
  isOver(): boolean;
};

/** Resolves once it is ready. */
export async function startCalloutProcess(config: Config, accident: Accident = {}): Promise<CalloutProcess> {
  const [port = 0] = await freePorts(1);
  const own = { ...config, admin: { ...config.admin, authcallout: { host: "127.0.0.1", port } } };
  const child: ChildProcess = spawn(process.execPath, ["--import", "tsx", "test/support/worlds/faulty-callout.ts"], {
    env: { ...process.env, CALLOUT_CONFIG: JSON.stringify(own), ACCIDENT: JSON.stringify(accident) },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const said: string[] = [];
  createInterface({ input: child.stdout as Readable }).on("line", (line) => {
    if (process.env.TEST_LOG) process.stdout.write(`${line}\n`);
    said.push(line);
  });
  const readiness = async () => {
    const answer = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => null);
    const body = (await answer?.json()) as { conditions: Record<string, { ok: boolean; says: string }> } | undefined;
    return body?.conditions ?? null;
  };
  const isOver = () => child.exitCode !== null || child.signalCode !== null;
  const end = async () => {
    if (isOver()) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  };
  const isReady = async () => {
    if (isOver()) throw new Error("a callout of its own has ended; what it said stands above");
    return Object.values((await readiness()) ?? { none: { ok: false } }).every(({ ok }) => ok);
  };
  await until(isReady, "a callout of its own to be ready").catch(async (error) => {
    await end();
    throw error;
  });
  /** What it said behind this word. */
  const told = (word: string) =>
    until(() => said.find((line) => line.startsWith(`${word} `))?.slice(word.length + 1), word);
  return {
    readiness,
    said,
    replica: await told("replica"),
    stoppedAt: () => Number(said.find((line) => line.startsWith("at "))?.slice(3)),
    async arm() {
      child.kill("SIGUSR2");
      await until(() => said.includes("armed"), "it to be ready for its accident");
    },
    signal: (name) => void child.kill(name),
    isOver,
    [Symbol.asyncDispose]: end,
  };
}

/** For a seam: kicks that come so many ms late, so that what does not wait for them comes before. */
export function lateKicks(ms: number): (real: SystemAccount) => SystemAccount {
  return (real) => ({ ...real, kick: (server, cid) => delay(ms).then(() => real.kick(server, cid)) });
}

/** The stack's own. */
export function firstReplica(stack: TestStack): HostedService<AuthcalloutService> {
  return stack.services.authcallout as HostedService<AuthcalloutService>;
}

export async function anotherReplica({ config }: Pick<TestStack, "config">, seams: AuthcalloutSeams = {}) {
  const scope = createScope();
  const log = process.env.TEST_LOG ? createLog({ level: "debug" }) : silentLog();
  const start = (context: ServiceContext) => runAuthcallout(context, seams);
  const starting = hostService({ name: "authcallout", start, config, log, scope });
  const service = await starting.catch(async (error) => {
    await scope.close();
    throw error;
  });
  return Object.assign(service, { [Symbol.asyncDispose]: () => scope.close() });
}
