/** The metrics that the services declare, read from their source, because a service creates its metrics at start and no table lists them. */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

type DeclaredMetric = { name: string; kind: "counter" | "gauge" | "histogram"; help: string; labels: string[] };

/** The folders of each service that declare metrics. */
const COMPONENTS = {
  bridge: ["bridge"],
  authcallout: ["authcallout", "replica"],
  proxy: ["proxy", "replica"],
} as const;

const CALL =
  /metrics\s*\.(counter|gauge|histogram)\(\s*"([a-z0-9_]+)",\s*"([^"]*)"(?:,\s*(?:\{\s*labels:\s*)?\[([^\]]*)\])?/g;

export function allMetrics(): DeclaredMetric[] {
  return Object.entries(COMPONENTS).flatMap(([component, folders]) =>
    folders.flatMap(sources).flatMap((text) => metricsIn(component, text)),
  );
}

/** The names of their series in Prometheus. */
export function seriesNames(metrics: readonly DeclaredMetric[] = allMetrics()): Set<string> {
  return new Set(
    metrics.flatMap(({ name, kind }) =>
      kind === "histogram" ? ["bucket", "sum", "count"].map((part) => `${name}_${part}`) : [name],
    ),
  );
}

function metricsIn(component: string, text: string): DeclaredMetric[] {
  const found = [...text.matchAll(CALL)];
  const calls = [...text.matchAll(/metrics\s*\.(counter|gauge|histogram)\(/g)].length;
  // The reference must not lack a metric that CALL does not match.
  if (found.length !== calls)
    throw new Error(`${component}: ${calls} metrics are created, ${found.length} of them can be read`);
  return found.map(([, kind, name, help, labels]) => ({
    name: `arvados_nats_${component}_${name}`,
    kind: kind as DeclaredMetric["kind"],
    help: help ?? "",
    labels: [...(labels ?? "").matchAll(/"([^"]+)"/g)].map(([, label]) => label as string),
  }));
}

function sources(folder: string): string[] {
  const root = fileURLToPath(new URL(`../${folder}/`, import.meta.url));
  return readdirSync(root, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .sort()
    .map((file) => readFileSync(`${root}${file}`, "utf8"));
}
