/** `arvados-nats dev`, which `npm start` runs: everything on this host, with a demo cluster and its console page. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { reasonOf } from "../core/errors.ts";
import { buildConsole } from "../proxy/console/build.ts";
import { deferred } from "../runtime/deferred.ts";
import type { Logger } from "../runtime/log/log.ts";
import type { Scope } from "../runtime/scope.ts";
import type { Service } from "../runtime/service.ts";
import { sleep } from "../runtime/sleep.ts";
import { Demo } from "./demo-routes.ts";
import { logLine, openLogWriter } from "./log-writer.ts";
import { type Stack, startStack } from "./stack.ts";

type DevOptions = {
  log: Logger;
  scope: Scope;
  /** Prints a line on the terminal. */
  print: (line: string) => void;
  /** Where the console page listens; port 0 = any free one. */
  port?: number;
  /** Where data is kept between runs; absent: a temporary folder, removed at the end. */
  dataDir?: string;
};

type Dev = Pick<Service, "drain" | "done"> & { url: string; stack: Stack; demo: Demo };

/** How often the demo's container writes a log line. */
const LOG_EVERY_MS = 1_000;

export async function runDev({ log, scope, print, port = 0, dataDir }: DevOptions): Promise<Dev> {
  const begun = performance.now();
  const done = deferred();
  const pages = await mkdtemp(join(tmpdir(), "arvados-nats-console-"));
  scope.defer("console page", () => rm(pages, { recursive: true, force: true }));
  let demo: Demo | undefined;
  const stack = await startStack({
    scope,
    log,
    ...(dataDir === undefined ? {} : { dataDir }),
    overrides: { proxyListen: { host: "127.0.0.1", port } },
    onStep: (what, ms) => print(stepLine(what, ms)),
    onNote: (line) => print(`            ${line}`),
    onUnexpectedExit: (reason) => done.reject(new Error(reason)),
    async proxy({ arvados, cluster }) {
      demo = new Demo(arvados, cluster);
      await buildConsole(pages);
      return { consoleDir: pages, extend: (app) => demo?.addRoutes(app) };
    },
  });
  for (const [name, service] of Object.entries(stack.services)) {
    service.done.catch((error) => done.reject(new Error(`${name} ended: ${reasonOf(error)}`, { cause: error })));
  }
  const { container } = stack.cluster;
  const writer = await openLogWriter({
    url: stack.nats.url,
    clusterId: stack.config.clusterId,
    container: container.uuid,
    file: "stdout.txt",
    token: container.token.withContainer,
  });
  scope.defer("the container's log", () => writer.close());
  void writeLog(writer.write, scope.signal).catch((error) =>
    log.warn({ reason: reasonOf(error) }, "the demo's container stopped logging"),
  );
  print(stepLine("ready", performance.now() - begun));
  print(`
  ${stack.url}   alice and bob side by side: share, unshare, watch
  ${stack.nats.url}   for native clients
  ${stack.services.bridge.adminUrl}/metrics   and the same for the others: Ctrl-C ends it all`);
  return {
    url: stack.url,
    stack,
    demo: demo as Demo,
    done: done.promise,
    async drain() {
      for (const name of ["proxy", "authcallout", "bridge"] as const) await stack.services[name].drain();
      done.resolve();
    },
  };
}

async function writeLog(write: (text: string) => Promise<void>, signal: AbortSignal): Promise<void> {
  for (let line = 1; !signal.aborted; line++) {
    await write(logLine(`aligned ${(line * 12_500).toLocaleString("en")} reads`, Date.now()));
    await sleep(LOG_EVERY_MS, signal);
  }
}

function stepLine(what: string, ms: number): string {
  return `${`${Math.round(ms).toLocaleString("en")} ms`.padStart(10)}  ${what}`;
}
