/**
 * Alerts by promtool: `npm run test:rules` (Debian: package `prometheus`; or PROMTOOL=/path). Checks the rule file, runs its tests, and checks what
 * the services of a whole installation say at /metrics. Not in `npm test`, since promtool comes from no package registry that npm ci reaches.
 */

import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { startStack } from "../../dev/stack.ts";
import { silentLog } from "../../runtime/log/log.ts";
import { createScope } from "../../runtime/scope.ts";

const PROMTOOL = process.env.PROMTOOL ?? "promtool";
const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));

await promtool(["check", "rules", path("../../helm/arvados-nats/files/alerts.yaml")]);
await promtool(["test", "rules", path("alerts.promtool.yaml")]);

const scope = createScope();
try {
  const { services } = await startStack({ scope, log: silentLog() });
  for (const [name, { adminUrl }] of Object.entries(services)) {
    process.stdout.write(`/metrics of ${name}\n`);
    await promtool(["check", "metrics"], ours(await (await fetch(`${adminUrl}/metrics`)).text()));
  }
} finally {
  await scope.close();
}

/** Not what prom-client says of the process: some of its gauges end in _total, which promtool minds. */
function ours(text: string): string {
  const lines = text.split("\n").filter((line) => /^(# (HELP|TYPE) )?arvados_nats_/.test(line));
  return `${lines.join("\n")}\n`;
}

function promtool(args: string[], input = ""): Promise<void> {
  const child = spawn(PROMTOOL, args, { stdio: ["pipe", "inherit", "inherit"] });
  child.stdin.on("error", () => {});
  child.stdin.end(input);
  return new Promise((resolve, reject) => {
    child.once("error", (error) =>
      reject(new Error(`${PROMTOOL} cannot be run (${error.message}): install Debian's prometheus, or set PROMTOOL`)),
    );
    child.once("close", (code) => {
      if (code === 0) resolve();
      else reject(new Error(`promtool ${args.slice(0, 2).join(" ")} ended with ${code}`));
    });
  });
}
