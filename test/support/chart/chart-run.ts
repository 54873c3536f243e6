/** What the chart renders, run on this machine: nats-server on its ConfigMap, Jobs and services as processes with their pods' environment. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "../../../dev/servers/free-ports.ts";
import { findNatsServer } from "../../../dev/servers/nats-server.ts";
import { until } from "../../../dev/testing/until.ts";
import { generateKeys } from "../../../streams-config/keys.ts";
import { keysSecret } from "../../../streams-config/keys-manifest.ts";
import { type FreshDatabase, freshDatabase } from "../servers/postgres.ts";
import { answers, createProcesses, type Processes, type Started } from "../servers/processes.ts";
import { CHART, findHelm, findManifest, type Manifest, type ManifestContainer, podsOf, render } from "./helm.ts";

export const CHART_SERVICES = ["bridge", "authcallout", "proxy"] as const;
type PortName = "nats" | "websocket" | "monitor" | "http" | (typeof CHART_SERVICES)[number];

export type ChartRunOptions = {
  /** On top of the try-out's. */
  values?: object;
  /** By which name nats-server is reached. Default: its loopback address. */
  host?: string;
  /** What stands for files that pods have from Secrets: the path there, the content. */
  files?: Readonly<Record<string, string>>;
};

export type ChartRun = AsyncDisposable & {
  /** Gone at the end. */
  dir: string;
  database: FreshDatabase;
  manifests: Manifest[];
  ports: Record<PortName, number>;
  processes: Processes;
  /** By name and key; may be replaced. */
  secrets: Record<string, Readonly<Record<string, string>>>;
  containerOf(manifest: Manifest): ManifestContainer;
  /** As the kubelet would fill it. */
  environmentOf(container: ManifestContainer): Record<string, string>;
  /** One of our commands; `env` comes on top of the pod's. */
  startOurs(manifest: Manifest, env?: Readonly<Record<string, string>>): Started;
  /** Resolves once nats-server is ready. */
  startNats(): Promise<void>;
  /** setup-db and streams. */
  runJobs(): Promise<void>;
  /** Resolves once every service is as its readiness probe wants it. */
  startServices(): Promise<void>;
  /** Projects of root's, until something has ended. A database in which nobody writes lets the bridge wait for its first beat. */
  write(ended: Promise<unknown>): Promise<void>;
};

export async function prepareChart(options: ChartRunOptions = {}): Promise<ChartRun> {
  const { values = {}, host = "127.0.0.1", files = {} } = options;
  const dir = mkdtempSync(join(tmpdir(), "arvados-nats-chart-"));
  const [database] = await Promise.all([freshDatabase(), findHelm(), findNatsServer()]);
  const manifests = await renderTryout(dir, database, values);
  const [nats, websocket, monitor, http, bridge, authcallout, proxy] = await freePorts(7);
  const ports = { nats, websocket, monitor, http, bridge, authcallout, proxy } as Record<PortName, number>;
  const paths = Object.entries(files).map(([there, content], place): [string, string] => {
    const path = join(dir, `file-${place}`);
    writeFileSync(path, content);
    return [there, path];
  });
  /** What stands for an address or a path of the cluster on this machine. */
  const here: [string, string][] = [
    ["demo-arvados-nats-nats:4222", `${host}:${nats}`],
    ["demo-arvados-nats-nats:8080", `${host}:${websocket}`],
    ["demo-arvados-nats-proxy:80", `127.0.0.1:${http}`],
    [":8470", `127.0.0.1:${http}`],
    [":8471", `127.0.0.1:${bridge}`],
    [":8472", `127.0.0.1:${authcallout}`],
    [":8473", `127.0.0.1:${proxy}`],
    ...paths,
  ];
  const localized = (text: string) =>
    here.reduce((result, [there, local]) => (result.endsWith(there) ? result.replace(there, local) : result), text);
  const processes = createProcesses();

  const run: ChartRun = {
    dir,
    database,
    manifests,
    ports,
    processes,
    secrets: {
      "demo-arvados-nats-keys": keysSecret(generateKeys(), { name: "k" }).stringData,
      arvados: { systemRootToken: "root".repeat(12) },
      db: { password: database.config.password },
    },
    containerOf,
    environmentOf: (container) => environmentOf(container, run.secrets, localized),
    startOurs(manifest, env = {}) {
      const container = run.containerOf(manifest);
      const args = (container.args ?? []).map(localized);
      return processes.cli(args, { ...run.environmentOf(container), ...env });
    },
    async startNats() {
      const container = run.containerOf(findManifest(manifests, "StatefulSet"));
      const conf = findManifest(manifests, "ConfigMap", "-nats").data?.["nats.conf"] ?? "";
      const surroundings: [string, string][] = [
        ["port: 4222", `port: ${nats}`],
        ["port: 8080", `port: ${websocket}`],
        ['"0.0.0.0:8222"', `"127.0.0.1:${monitor}"`],
        ['"/data"', JSON.stringify(join(dir, "data"))],
        ['"/tmp/nats.pid"', JSON.stringify(join(dir, "nats.pid"))],
        ['host: "0.0.0.0"', 'host: "127.0.0.1"'],
      ];
      for (const [there] of surroundings) assert.ok(conf.includes(there), there);
      mkdirSync(join(dir, "data"), { recursive: true });
      writeFileSync(join(dir, "nats.conf"), replaced(conf, [...surroundings, ...paths]));
      const { path } = await findNatsServer();
      const started = processes.start(path, ["-c", join(dir, "nats.conf")], run.environmentOf(container));
      const { httpGet } = container.readinessProbe as { httpGet: { path: string } };
      await readinessOf("nats-server", started, `http://127.0.0.1:${monitor}${httpGet.path}`);
    },
    async runJobs() {
      const jobs = [findManifest(manifests, "Job", "-setup-db"), findManifest(manifests, "Job", "-streams-1")];
      const [setupDb, streams] = await Promise.all(jobs.map((job) => run.startOurs(job).ended));
      assert.equal(setupDb?.code, 0, setupDb?.text);
      assert.match(setupDb?.text ?? "", /made replication slot arvados_nats/);
      assert.equal(streams?.code, 0, streams?.text);
    },
    async startServices() {
      const ready = Promise.all(
        CHART_SERVICES.map(async (service) => {
          const deployment = findManifest(manifests, "Deployment", `-${service}`);
          const started = run.startOurs(deployment);
          const path = run.containerOf(deployment).readinessProbe?.httpGet.path;
          await readinessOf(service, started, `http://127.0.0.1:${ports[service]}${path}`);
        }),
      );
      await Promise.all([ready, run.write(ready)]);
    },
    write: (ended) => writeUntil(ended, database),
    async [Symbol.asyncDispose]() {
      await processes.end();
      await database.drop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
  return run;
}

/** The try-out with the test's database, and then `values`. */
async function renderTryout(dir: string, { config }: FreshDatabase, values: object): Promise<Manifest[]> {
  const { database: dbname, user, host, port } = config;
  const own = {
    settings: { postgres: { host, port, dbname, user, sslmode: "disable" } },
    secrets: { postgres: { existingSecret: "db" } },
    setupDb: { enabled: true },
    tests: { eventSeconds: 20 },
  };
  const [ownFile, valuesFile] = [join(dir, "own.json"), join(dir, "values.json")];
  writeFileSync(ownFile, JSON.stringify(own));
  writeFileSync(valuesFile, JSON.stringify(values));
  return render("-f", join(CHART, "ci", "tryout-values.yaml"), "-f", ownFile, "-f", valuesFile);
}

function containerOf(manifest: Manifest): ManifestContainer {
  const container = podsOf([manifest])[0]?.pod.containers[0];
  assert.ok(container, manifest.metadata.name);
  return container;
}

/** Resolves when the program is ready; rejects with its output when it ends before. */
async function readinessOf(name: string, { ended }: Started, url: string): Promise<void> {
  await Promise.race([
    until(() => answers(url), `${name}'s readiness`),
    ended.then(({ text }) => assert.fail(`${name}: ${text}`)),
  ]);
}

function environmentOf(
  { env = [] }: ManifestContainer,
  secrets: ChartRun["secrets"],
  localized: (text: string) => string,
): Record<string, string> {
  const entries = env.flatMap(({ name, value, valueFrom }): [string, string][] => {
    const ref = valueFrom?.secretKeyRef;
    if (!ref) return [[name, localized(value ?? "")]];
    const found = secrets[ref.name]?.[ref.key];
    assert.ok(found !== undefined || ref.optional, `${name}: Secret ${ref.name} has no ${ref.key}`);
    return found === undefined ? [] : [[name, found]];
  });
  return Object.fromEntries(entries);
}

function replaced(text: string, pairs: readonly [there: string, local: string][]): string {
  return pairs.reduce((result, [there, local]) => result.replaceAll(there, local), text);
}

async function writeUntil(ended: Promise<unknown>, { simulator }: FreshDatabase): Promise<void> {
  let over = false;
  void ended.finally(() => {
    over = true;
  });
  for (let turn = 0; !over; turn++) {
    await simulator.createProject({ name: `project ${turn}`, owner: "zzzzz-tpzed-000000000000000" });
    await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 100))]);
  }
}
