/**
 * Files that repeat what the code declares: the chart's environment, schema and nats.conf, the values for the official NATS chart,
 * nats-server's configuration for plain hosts, the reference page. `npm run derive` writes all of them, or those that it is given.
 * `test/helm/derived.test.ts` fails if one of them is out of date.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";
import { chartNatsConf, chartSchema, chartSettings } from "./derived-chart.ts";
import { hostNatsConf, natsValues } from "./derived-nats.ts";
import { reference } from "./reference.ts";

/** Each file by its path in the checkout, and its content. Some keep hand-written parts of the current content. */
export const DERIVED: Readonly<Record<string, (current: string) => string>> = {
  "helm/arvados-nats/files/settings.yaml": chartSettings,
  "helm/arvados-nats/files/nats.conf": chartNatsConf,
  "helm/arvados-nats/values.schema.json": chartSchema,
  "helm/nats-values.yaml": natsValues,
  "packaging/nats/nats-server.conf": hostNatsConf,
  "docs/reference.md": reference,
};

export function readDerived(path: string): string {
  return readFileSync(pathOf(path), "utf8");
}

function pathOf(path: string): string {
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
    if (wanted !== current) writeFileSync(pathOf(path), wanted);
    process.stdout.write(`${wanted === current ? "same   " : "written"} ${path}\n`);
  }
}
