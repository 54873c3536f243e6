/**
 * Files that say again what the code declares: the chart's environment, schema and nats.conf, the values for the official NATS chart,
 * nats-server's configuration for plain hosts, the reference page. `npm run derive` writes them (or those that are named); a test fails where one is out of step.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";
import { chartNatsConf, chartSchema, chartSettings } from "./derived-chart.ts";
import { hostNatsConf, natsValues } from "./derived-nats.ts";
import { reference } from "./reference.ts";

/** Each file by its path in the checkout, and what it must hold. Some keep parts that people write. */
export const DERIVED: Readonly<Record<string, (current: string) => string>> = {
  "helm/arvados-nats/files/settings.yaml": chartSettings,
  "helm/arvados-nats/files/nats.conf": chartNatsConf,
  "helm/arvados-nats/values.schema.json": chartSchema,
  "helm/nats-values.yaml": natsValues,
  "packaging/nats/nats-server.conf": hostNatsConf,
  "docs/reference.md": reference,
};

export function readDerived(path: string): string {
  return readFileSync(placeOf(path), "utf8");
}

function placeOf(path: string): string {
  return fileURLToPath(new URL(`../${path}`, import.meta.url));
}

function isMain(): boolean {
  return process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href;
}

if (isMain()) {
  const only = process.argv.slice(2);
  for (const [path, derive] of Object.entries(DERIVED)) {
    if (only.length > 0 && !only.includes(path)) continue;
    const current = readDerived(path);
    const wanted = derive(current);
    if (wanted !== current) writeFileSync(placeOf(path), wanted);
    process.stdout.write(`${wanted === current ? "same   " : "written"} ${path}\n`);
  }
}
