import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import { allMetrics, seriesNames } from "../../scripts/metrics.ts";
import { CHART, findManifest, render } from "../support/chart/helm.ts";

type Rule = { alert: string; expr: string; labels: { severity: string }; annotations: Record<string, string> };
type Group = { name: string; rules: Rule[] };

/** From prom-client's own collectors, and postgres_exporter's for the group that says it needs it. */
const FOREIGN = [
  "process_start_time_seconds",
  "process_cpu_seconds_total",
  "process_resident_memory_bytes",
  "nodejs_eventloop_lag_p99_seconds",
];
const POSTGRES_EXPORTER = ["pg_replication_slots_active", "pg_replication_slots_pg_wal_lsn_diff"];

const groups = (parse(readFileSync(join(CHART, "files/alerts.yaml"), "utf8")) as { groups: Group[] }).groups;
const rules = groups.flatMap((group) => group.rules);

/** Names of series in a query: words before `{`, `[`, or an operator, less functions, labels and keywords. */
function seriesIn(expr: string): string[] {
  return [...expr.matchAll(/\b(arvados_nats_\w+|process_\w+|nodejs_\w+|pg_\w+)\b/g)].map(([, name]) => name as string);
}

function unknownIn(exprs: string[], more: string[] = []): string[] {
  const known = new Set([...seriesNames(), ...FOREIGN, ...more]);
  return exprs.flatMap(seriesIn).filter((name) => !known.has(name));
}

describe("alerts", () => {
  it("are about metrics that exist", () => {
    const [own, slot] = groups as [Group, Group];
    // Matched by a pattern; see the rule.
    const byPattern = /\{__name__=~"arvados_nats_\(([\w|]+)\)"\}/g;
    const exprs = own.rules.map(({ expr }) => expr.replace(byPattern, ""));
    assert.deepEqual(unknownIn(exprs), []);
    assert.deepEqual(
      unknownIn(
        slot.rules.map(({ expr }) => expr),
        POSTGRES_EXPORTER,
      ),
      [],
    );
    for (const { expr } of own.rules)
      for (const [, names] of expr.matchAll(byPattern))
        for (const name of names?.split("|") ?? []) assert.ok(seriesNames().has(`arvados_nats_${name}`), name);
  });

  it("use labels and codes that the code gives", () => {
    const labels = new Map(allMetrics().map((metric) => [metric.name, metric.labels]));
    for (const { expr } of rules)
      for (const [, name, label] of expr.matchAll(/(arvados_nats_\w+_total)\{(\w+)=/g))
        assert.ok(labels.get(name as string)?.includes(label as string), `${name} has no label ${label}`);
  });

  it("have each a severity, a summary and a remedy in docs/operate.md", () => {
    const page = readFileSync(fileURLToPath(new URL("../../docs/operate.md", import.meta.url)), "utf8");
    for (const { alert, labels, annotations } of rules) {
      assert.match(labels.severity, /^(warning|critical)$/);
      assert.ok(annotations.summary && annotations.description, alert);
      assert.match(page, new RegExp(`^### ${alert}$`, "m"));
    }
    const headings = [...page.matchAll(/^### (ArvadosNats\w+)$/gm)].map(([, name]) => name);
    assert.deepEqual(headings.sort(), rules.map(({ alert }) => alert).sort());
  });

  it("are each shown to fire by a rule test", () => {
    const tests = readFileSync(fileURLToPath(new URL("alerts.promtool.yaml", import.meta.url)), "utf8");
    for (const { alert } of rules) assert.ok(tests.includes(`alertname="${alert}"`), alert);
  });

  it("come through the chart unchanged, with a runbook where asked", async () => {
    const values = (name: string) => ["-f", join(CHART, "ci", `${name}-values.yaml`)];
    const everything = findManifest(await render(...values("everything")), "PrometheusRule").spec?.groups as Group[];
    const strip = ({ runbook_url, ...annotations }: Record<string, string>) => {
      assert.match(runbook_url ?? "", /^https:\/\/docs\.example\.org\/operate#arvadosnats/);
      return annotations;
    };
    assert.deepEqual(
      everything.map((group) => ({
        ...group,
        rules: group.rules.map((rule) => ({ ...rule, annotations: strip(rule.annotations) })),
      })),
      groups,
    );
    const bare = findManifest(await render(...values("bare")), "PrometheusRule").spec?.groups as Group[];
    assert.deepEqual(
      bare.map(({ name }) => name),
      ["arvados-nats"],
    );
  });
});

describe("the dashboard", () => {
  type Panel = {
    id: number;
    title: string;
    type: string;
    gridPos: { x: number; y: number; w: number; h: number };
    targets?: { expr: string }[];
  };
  const dashboard = JSON.parse(readFileSync(join(CHART, "files/dashboard.json"), "utf8")) as { panels: Panel[] };
  const exprs = dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));

  it("shows metrics that exist, and leaves none of ours out", () => {
    assert.deepEqual(unknownIn(exprs), []);
    const shown = exprs.join("\n");
    assert.deepEqual(
      allMetrics()
        .map(({ name }) => name)
        .filter((name) => !shown.includes(name)),
      [],
    );
  });

  it("has panels with ids of their own that do not overlap", () => {
    const { panels } = dashboard;
    assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, cell) => `${x + (cell % w)},${y + Math.floor(cell / w)}`),
    );
    assert.equal(new Set(cells).size, cells.length);
  });

  it("arrives in its ConfigMap as it is", async () => {
    const manifests = await render("-f", join(CHART, "ci", "everything-values.yaml"));
    const text = findManifest(manifests, "ConfigMap", "-dashboard").data?.["arvados-nats.json"] ?? "";
    assert.deepEqual(JSON.parse(text), dashboard);
  });
});
