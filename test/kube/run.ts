/**
 * The chart in a real control plane: `npm run test:kube`. Dry runs, install, upgrade, failing hook, failing rollout, rollback, test, uninstall, with
 * everything in the pods running for real as processes of this machine, beside a real database. A try-out, and an installation with every option on a
 * cluster of three nats-servers with TLS. Not in `npm test`: the control plane is built once, for some minutes. TEST_LOG=1 shows what pods say.
 */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { startNatsCluster } from "../../dev/servers/nats-cluster.ts";
import { findNatsServer } from "../../dev/servers/nats-server.ts";
import { until } from "../../dev/testing/until.ts";
import { STREAM_NAMES } from "../../streams-config/accounts.ts";
import { generateKeys, publicKeys } from "../../streams-config/keys.ts";
import { keysSecret } from "../../streams-config/keys-manifest.ts";
import { deriveSchemas, SCHEMAS_FILE } from "../helm/derive-schemas.ts";
import { CHART, findHelm, valuesFile } from "../support/chart/helm.ts";
import { crdFiles } from "../support/chart/kube-modules.ts";
import { createAuthority } from "../support/servers/certificates.ts";
import { freshDatabase } from "../support/servers/postgres.ts";
import { runStep } from "../support/servers/steps.ts";
import { kubeBinaries } from "./binaries.ts";
import { type KubeCluster, type KubeObject, startCluster } from "./cluster.ts";
import { dryRunMatrix, dryRunWrong } from "./dry-run.ts";
import { startKubelet } from "./kubelet.ts";
import { isTask } from "./pod.ts";
import { createPrograms } from "./programs.ts";

const NAMESPACE = "arvados";
const TOKEN = "root".repeat(12);
const GIB = 1024 ** 3;
const write = (line: string) => void process.stdout.write(`${line}\n`);

const dir = mkdtempSync(join(tmpdir(), "arvados-nats-kube-"));
try {
  await run();
} finally {
  rmSync(dir, { recursive: true, force: true });
}

async function run(): Promise<void> {
  const [binaries, nats] = [await kubeBinaries(write), await findNatsServer()];
  await findHelm();
  await using database = await runStep("database", freshDatabase);
  await using cluster = await runStep("control plane", () => startCluster(join(dir, "cluster"), binaries));

  /** What tasks have said, by the pod's name. */
  const said = new Map<string, string>();
  const outside = new Map<string, string>();
  mkdirSync(join(dir, "pods"));
  await using programs = createPrograms({
    ...{ cluster, namespace: NAMESPACE, dir: join(dir, "pods"), natsServer: nats.path, outside },
    onEnded: (pod, code, text) => {
      said.set(pod.metadata.name, text);
      if (!isTask(pod) && !process.env.TEST_LOG) return;
      write(`           ${pod.metadata.name} ended with ${code}: ${text.trim().split("\n").at(-1)}`);
      if (process.env.TEST_LOG) write(text);
    },
  });
  await using _kubelet = await startKubelet({ cluster, namespace: NAMESPACE, start: programs.start });
  await using _writer = writing(() =>
    database.simulator.createProject({ name: "a project", owner: "zzzzz-tpzed-000000000000000" }),
  );
  const helm = createHelm(cluster.kubeconfig);
  const statusOf = async (path: string) => (await cluster.call("GET", path)).status;
  const secret = async (name: string) =>
    (await cluster.call<KubeObject>("GET", `/api/v1/namespaces/${NAMESPACE}/secrets/${name}`)).body;
  const deployment = async (name: string) =>
    (await cluster.call<KubeObject>("GET", `/apis/apps/v1/namespaces/${NAMESPACE}/deployments/${name}`)).body;

  const ours = generateKeys();
  const { host, port, user, password, database: dbname } = database.config;
  const authority = createAuthority();
  const server = authority.issue(["localhost", "127.0.0.1"]);
  const [certFile, keyFile] = [join(dir, "tls.crt"), join(dir, "tls.key")];
  writeFileSync(certFile, server.cert);
  writeFileSync(keyFile, server.key);
  await runStep("namespace, Secrets, CRDs of Prometheus' operator and Gateway API", async () => {
    await create(cluster, "/api/v1/namespaces", { metadata: { name: NAMESPACE } });
    await create(cluster, "/apis/scheduling.k8s.io/v1/priorityclasses", { metadata: { name: "high" }, value: 1000 });
    const secrets = {
      arvados: { systemRootToken: TOKEN },
      "probe-token": { token: TOKEN },
      "wrong-token": { token: "unknown".repeat(8) },
      "arvados-db": { password },
      "arvados-db-owner": { password },
      "site-ca": { "ca.pem": authority.cert },
      pull: {},
    };
    for (const [name, stringData] of Object.entries(secrets))
      await create(cluster, `/api/v1/namespaces/${NAMESPACE}/secrets`, { metadata: { name }, stringData });
    await create(cluster, `/api/v1/namespaces/${NAMESPACE}/secrets`, keysSecret(ours, { name: "nats-keys" }));
    await createCrds(cluster);
    // Which the controller manager makes, and every pod needs.
    const account = `/api/v1/namespaces/${NAMESPACE}/serviceaccounts/default`;
    await until(async () => (await statusOf(account)) === 200, "the namespace's service account");
  });

  await runStep("the committed schemas are those of these versions", async () => {
    assert.equal(readFileSync(SCHEMAS_FILE, "utf8"), await deriveSchemas());
  });
  await counted("manifests of every values file, as the API server takes them strictly", () =>
    dryRunMatrix(cluster, NAMESPACE),
  );
  await counted("wrong manifests, refused", () => dryRunWrong(cluster, NAMESPACE));

  const postgres = `settings.postgres.host=${host},settings.postgres.port=${port},settings.postgres.dbname=${dbname},settings.postgres.user=${user},settings.postgres.sslmode=disable`;
  const wait = ["--wait", "--timeout", "150s"];
  const tryout = [
    ...valuesFile("tryout"),
    ...["--set", postgres, "--set", "secrets.postgres.existingSecret=arvados-db,setupDb.enabled=true"],
    ...["--set", "tests.eventSeconds=20,authcallout.replicas=1,proxy.replicas=1"],
  ];
  const demoPod = "demo-arvados-nats-test";
  const testSaw = () => {
    assert.match(said.get(demoPod) ?? "", /^gateway: zzzzz-tpzed-0{15}, /m);
    assert.match(said.get(demoPod) ?? "", /^event: create of zzzzz-j7d0g-/m);
    assert.ok(!said.get(demoPod)?.includes(TOKEN));
  };
  /** What the last pod of a Job has said. */
  const lastOf = (name: string) => [...said].findLast(([pod]) => pod.startsWith(`${name}-`))?.[1] ?? "";
  const passes = async () => {
    said.delete(demoPod);
    await helm.succeeds("test", "demo", "--timeout", "60s");
    testSaw();
  };

  /** `left`: hooks that helm leaves, so that their output can be read. */
  const uninstalled = async (release: string, left: string[]) => {
    const isLeft = (name: string) => left.some((hook) => name.startsWith(`${release}-arvados-nats-${hook}`));
    const rest = async () =>
      (await workloads(cluster)).filter((name) => name.startsWith(`${release}-`) && !isLeft(name));
    await until(async () => (await rest()).length === 0, "an empty namespace", 60_000);
    await until(() => programs.running() === 0, "the end of every process", 60_000);
  };

  write("a try-out");
  await runStep("install: keys, setup-db, nats-server, streams and services, all ready", () =>
    helm.succeeds("install", "demo", CHART, ...tryout, ...wait),
  );
  const made = await secret("demo-arvados-nats-keys");
  await runStep("  the keys were made, seeds and public ones", () => {
    const wanted = Object.keys(keysSecret(generateKeys(), { name: "k" }).stringData);
    assert.deepEqual(Object.keys(made.data as object).sort(), wanted.sort());
  });
  await runStep("  the right to make them is gone with the hook", async () => {
    const roles = `/apis/rbac.authorization.k8s.io/v1/namespaces/${NAMESPACE}/roles`;
    assert.equal(await statusOf(`${roles}/demo-arvados-nats-keys`), 404);
  });
  await runStep("helm test: a login, who one is, an event", passes);
  await runStep("upgrade: every pod is rolled, keys and streams stay", async () => {
    const changes = ["--set", "secretsRevision=2,tests.tokenSecret=wrong-token"];
    await helm.succeeds("upgrade", "demo", CHART, ...tryout, ...changes, ...wait);
    assert.equal((await secret("demo-arvados-nats-keys")).metadata.resourceVersion, made.metadata.resourceVersion);
    assert.equal((await deployment("demo-arvados-nats-bridge")).metadata.generation, 2);
    await until(() => lastOf("demo-arvados-nats-streams-2"), "the streams' Job", 60_000);
    assert.match(lastOf("demo-arvados-nats-streams-2"), /^nothing to do$/m);
  });
  await runStep("helm test fails with a token that nobody knows", async () => {
    await helm.fails("test", "demo", "--timeout", "60s");
    assert.match(said.get(demoPod) ?? "", /the token is refused/);
  });
  await runStep("a rollout that does not become ready is rolled back", async () => {
    const changes = ["--set", "secrets.arvados.systemRootTokenKey=misspelt"];
    const says = await helm.fails(
      ...["upgrade", "demo", CHART, ...tryout, ...changes],
      ...["--wait", "--timeout", "20s", "--rollback-on-failure"],
    );
    assert.match(says, /proxy not ready/);
    assert.doesNotMatch(JSON.stringify((await deployment("demo-arvados-nats-proxy")).spec), /misspelt/);
    const history = JSON.parse(await helm.succeeds("history", "demo", "--output", "json")) as Revision[];
    assert.deepEqual(
      history.map(({ status, description }) => `${status}: ${description.split(" ").slice(0, 3).join(" ")}`),
      [
        "superseded: Install complete",
        "superseded: Upgrade complete",
        'failed: Upgrade "demo" failed:',
        "deployed: Rollback to 2",
      ],
    );
  });
  await runStep("rollback to the first revision", () => helm.succeeds("rollback", "demo", "1", ...wait));
  await runStep("helm test, again", passes);
  await runStep("uninstall: the keys stay, nothing else of ours, and no process", async () => {
    await helm.succeeds("uninstall", "demo", "--wait", "--timeout", "60s");
    assert.equal((await secret("demo-arvados-nats-keys")).metadata.uid, made.metadata.uid);
    await uninstalled("demo", ["test"]);
  });

  write("every option, with three nats-servers and TLS");
  const everything = [
    ...valuesFile("everything"),
    ...["--set", postgres, "--set", `clusterId=zzzzz,setupDb.user=${user}`],
    ...["--set", "secrets.keys.existingSecret=nats-keys", ...wait],
  ];
  await using servers = await runStep("nats-servers", () =>
    startNatsCluster({
      ...{ clusterId: "zzzzz", keys: publicKeys(ours), tls: { certFile, keyFile } },
      limits: { maxFileStore: 220 * GIB },
    }),
  );
  const [first] = servers.servers;
  assert.ok(first);
  outside.set("nats.nats.svc:4222", `localhost:${new URL(first.url).port}`);
  outside.set("nats.nats.svc:8080", `localhost:${new URL(first.websocketUrl).port}`);
  await runStep("install: setup-db and streams before the services", async () => {
    await helm.succeeds("install", "full", CHART, ...everything);
    assert.match(lastOf("full-arvados-nats-streams"), new RegExp(`^${STREAM_NAMES.length} applied$`, "m"));
  });
  await runStep("helm test", async () => {
    await helm.succeeds("test", "full", "--timeout", "60s");
    assert.match(said.get("full-arvados-nats-test") ?? "", /^event: create of zzzzz-j7d0g-/m);
  });
  const before = await deployment("full-arvados-nats-bridge");
  await runStep(
    "a hook that fails (streams of another profile are refused) ends an upgrade before it changes a service",
    async () => {
      said.clear();
      const changes = ["--set", "streams.profile=single,settings.log.level=warn"];
      const says = await helm.fails("upgrade", "full", CHART, ...everything, ...changes);
      assert.match(says, /hook|failed/i);
      const streams = [...said]
        .filter(([name]) => name.startsWith("full-arvados-nats-streams"))
        .map(([, text]) => text);
      assert.ok(streams.length > 0);
      for (const text of streams) assert.match(text, /max_bytes would shrink.*nothing was changed/s);
      assert.equal((await deployment("full-arvados-nats-bridge")).metadata.generation, before.metadata.generation);
    },
  );
  await runStep("rollback to the first revision", () => helm.succeeds("rollback", "full", "1", ...wait));
  await runStep("uninstall", async () => {
    await helm.succeeds("uninstall", "full", "--wait", "--timeout", "60s");
    await uninstalled("full", ["test", "streams"]);
  });
}

/** A step whose line tells how many there were. */
async function counted(what: string, work: () => Promise<number>): Promise<void> {
  const begun = performance.now();
  const count = await work();
  write(`${((performance.now() - begun) / 1000).toFixed(1).padStart(6)} s  ${count} ${what}`);
  assert.ok(count > 0);
}

/** Somebody who writes all the time, since only what happens is an event. */
function writing(work: () => Promise<unknown>): AsyncDisposable {
  let over = false;
  const loop = (async () => {
    while (!over) {
      await work();
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  })();
  return {
    async [Symbol.asyncDispose]() {
      over = true;
      await loop;
    },
  };
}

type Revision = { status: string; description: string };

type Helm = { succeeds(...args: string[]): Promise<string>; fails(...args: string[]): Promise<string> };

function createHelm(kubeconfig: string): Helm {
  const run = async (args: string[]): Promise<{ ok: boolean; text: string }> => {
    const binary = await findHelm();
    const env = { PATH: process.env.PATH, HOME: dir, KUBECONFIG: kubeconfig };
    return new Promise((resolve) => {
      execFile(binary, [...args, "--namespace", NAMESPACE], { env, maxBuffer: 16 * 1024 * 1024 }, (error, out, err) =>
        resolve({ ok: error === null, text: out + err }),
      );
    });
  };
  return {
    async succeeds(...args) {
      const { ok, text } = await run(args);
      assert.ok(ok, text);
      // What the API server does not know, helm only warns of.
      assert.doesNotMatch(text, /unknown field/);
      return text;
    },
    async fails(...args) {
      const { ok, text } = await run(args);
      assert.ok(!ok, `helm ${args.join(" ")} should have failed`);
      return text;
    },
  };
}

async function create(cluster: KubeCluster, path: string, object: object): Promise<void> {
  const { status, body } = await cluster.call("POST", path, object);
  assert.ok(status === 201, JSON.stringify(body).slice(0, 500));
}

async function createCrds(cluster: KubeCluster): Promise<void> {
  for (const file of await crdFiles())
    for (const document of parseAllDocuments(readFileSync(file, "utf8")))
      await create(cluster, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", document.toJS() as object);
  const groups = ["/apis/monitoring.coreos.com/v1", "/apis/gateway.networking.k8s.io/v1"];
  for (const path of groups) await until(async () => (await cluster.call("GET", path)).status === 200, path);
}

/** What of a release is left. */
async function workloads(cluster: KubeCluster): Promise<string[]> {
  const paths = [
    `/apis/apps/v1/namespaces/${NAMESPACE}/deployments`,
    `/apis/apps/v1/namespaces/${NAMESPACE}/statefulsets`,
    `/apis/batch/v1/namespaces/${NAMESPACE}/jobs`,
    `/api/v1/namespaces/${NAMESPACE}/pods`,
    `/api/v1/namespaces/${NAMESPACE}/services`,
    `/apis/networking.k8s.io/v1/namespaces/${NAMESPACE}/networkpolicies`,
  ];
  const lists = await Promise.all(paths.map((path) => cluster.call<{ items: KubeObject[] }>("GET", path)));
  return lists.flatMap(({ body }) => body.items.map(({ metadata }) => metadata.name));
}
