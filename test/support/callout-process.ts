/** An authcallout in a process of its own, so that a test can stop it, let it go on, or kill it. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { Config } from "../../runtime/config.ts";
import { allSettings } from "../../runtime/config-table.ts";
import type { Address } from "../../runtime/setting.ts";
import { until } from "./until.ts";

export type CalloutProcess = AsyncDisposable & {
  /** `/readyz`, or null while it does not answer. */
  readiness(): Promise<Record<string, { ok: boolean; says: string }> | null>;
  /** SIGSTOP, SIGCONT, SIGKILL. */
  signal(name: NodeJS.Signals): void;
};

/** Resolves once it is ready. */
export async function startCalloutProcess(config: Config, port: number): Promise<CalloutProcess> {
  const env = { ...process.env, ...environmentOf(config), ARVADOS_NATS_ADMIN_AUTHCALLOUT: `127.0.0.1:${port}` };
  const child: ChildProcess = spawn(process.execPath, ["--import", "tsx", "cli/main.ts", "authcallout"], {
    env,
    stdio: process.env.TEST_LOG ? "inherit" : "ignore",
  });
  const readiness = async () => {
    const answer = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => null);
    const body = (await answer?.json()) as { conditions: Record<string, { ok: boolean; says: string }> } | undefined;
    return body?.conditions ?? null;
  };
  await until(
    async () => Object.values((await readiness()) ?? { none: { ok: false } }).every(({ ok }) => ok),
    "it",
    20_000,
  );
  return {
    readiness,
    signal: (name) => void child.kill(name),
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
    },
  };
}

export function environmentOf(config: Config): Record<string, string> {
  const out: Record<string, string> = {};
  for (const { path, setting } of allSettings()) {
    const value = path.reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], config);
    if (value === null || value === "") continue;
    const address = value as Address;
    if (setting.type === "address") out[setting.env] = `${address.host}:${address.port}`;
    else out[setting.env] = setting.type === "duration" ? `${value}ms` : String(value);
  }
  return out;
}
