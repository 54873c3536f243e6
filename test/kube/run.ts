/**
 * The chart in a real control plane: `npm run test:kube`. Install, upgrade, failing hook, failing rollout, rollback, test, uninstall; the Job that
 * makes the keys runs for real, with its service account's rights. Not in `npm test`: the control plane is built once, for some minutes.
 */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseAllDocuments } from "yaml";
import { generateKeys } from "../../streams-config/keys.ts";
import { keysSecret } from "../../streams-config/keys-manifest.ts";
import { CHART, findHelm } from "../support/helm.ts";
import { createProcesses } from "../support/processes.ts";
import { step } from "../support/steps.ts";
import { until } from "../support/until.ts";
import { goModule, kubeBinaries } from "./binaries.ts";
import { type Cluster, type KubeObject, startCluster } from "./cluster.ts";
import { type Pod, type Surroundings, startKubelet } from "./kubelet.ts";

const NAMESPACE = "arvados";
const MOUNTS = fileURLToPath(new URL("mounts.ts", import.meta.url));
const valuesFile = (name: string) => ["-f", join(CHART, "ci", `${name}-values.yaml`)];
const write = (line: string) => void process.stdout.write(`${line}\n`);

const dir = mkdtempSync(join(tmpdir(), "arvados-nats-kube-"));
try {
  const binaries = await kubeBinaries(write);
  await findHelm();
  await using processes = createProcesses();
  await using cluster = await step("control plane", () => startCluster(join(dir, "cluster"), binaries));
  let failing: RegExp | null = null;

  const work = async (pod: Pod, { env, mounts }: Surroundings): Promise<number> => {
    if (failing?.test(pod.metadata.name)) return 1;
    const [container] = pod.spec.containers;
    // The others need a database and a nats-server: test/helm/tryout.e2e.test.ts runs those.
    if (container?.name !== "keys") return 0;
    const args = ["--import", "tsx", "--import", MOUNTS, "cli/main.ts", ...(container.args ?? [])];
    const { code, text } = await processes.start(process.execPath, args, { ...env, POD_MOUNTS: mounts }).ended;
    write(`         ${pod.metadata.name}: ${text.trim()}`);
    return code ?? 1;
  };
  await using _kubelet = startKubelet({
    cluster,
    namespace: NAMESPACE,
    work,
    broken: (pod) => pod.spec.containers.some(({ image }) => image.includes("broken.invalid")),
  });
  const helm = createHelm(cluster.kubeconfig);
  const get = async (path: string) => (await cluster.call<KubeObject>("GET", path)).body;
  const secret = (name: string) => get(`/api/v1/namespaces/${NAMESPACE}/secrets/${name}`);

  await step("namespace, Secrets, CRDs of Prometheus' operator and Gateway API", async () => {
    await create(cluster, "/api/v1/namespaces", { metadata: { name: NAMESPACE } });
    const secrets = `/api/v1/namespaces/${NAMESPACE}/secrets`;
    await create(cluster, secrets, { metadata: { name: "arvados" }, stringData: { systemRootToken: "t" } });
    await create(cluster, secrets, keysSecret(generateKeys(), { name: "nats-keys" }));
    await create(cluster, "/apis/scheduling.k8s.io/v1/priorityclasses", { metadata: { name: "high" }, value: 1000 });
    await createCrds(cluster);
  });

  const tryout = ["install", "demo", CHART, ...valuesFile("tryout"), "--wait", "--timeout", "60s"];
  await step("install the try-out", () => helm.succeeds(...tryout));
  const made = await secret("demo-arvados-nats-keys");
  await step("  the keys were made, seeds and public ones", async () => {
    const wanted = Object.keys(keysSecret(generateKeys(), { name: "k" }).stringData);
    assert.deepEqual(Object.keys(made.data as object).sort(), wanted.sort());
  });
  await step("  the right to make them is gone with the hook", async () => {
    const role = await cluster.call(
      "GET",
      `/apis/rbac.authorization.k8s.io/v1/namespaces/${NAMESPACE}/roles/demo-arvados-nats-keys`,
    );
    assert.equal(role.status, 404);
  });
  await step("upgrade: the keys stay", async () => {
    await helm.succeeds(
      "upgrade",
      "demo",
      CHART,
      ...valuesFile("tryout"),
      "--set",
      "secretsRevision=2",
      "--wait",
      "--timeout",
      "60s",
    );
    const now = await secret("demo-arvados-nats-keys");
    assert.equal(now.metadata.resourceVersion, made.metadata.resourceVersion);
  });
  await step("helm test", () => helm.succeeds("test", "demo", "--timeout", "30s"));
  await step("uninstall: the keys stay, nothing else of ours", async () => {
    await helm.succeeds("uninstall", "demo", "--wait", "--timeout", "60s");
    assert.equal((await secret("demo-arvados-nats-keys")).metadata.uid, made.metadata.uid);
    await until(async () => (await workloads(cluster)).length === 0, "an empty namespace", 20_000);
  });

  const everything = [...valuesFile("everything"), "--wait", "--timeout", "60s"];
  await step("install with every option", () => helm.succeeds("install", "full", CHART, ...everything));
  const deployment = () => get(`/apis/apps/v1/namespaces/${NAMESPACE}/deployments/full-arvados-nats-bridge`);
  const before = await deployment();
  await step("a failing streams hook ends an upgrade before it changes a service", async () => {
    failing = /-streams/;
    const says = await helm.fails("upgrade", "full", CHART, ...everything, "--set", "settings.log.level=warn");
    assert.match(says, /hook|failed/i);
    assert.equal((await deployment()).metadata.generation, before.metadata.generation);
    failing = null;
  });
  await step("a rollout that does not become ready is rolled back", async () => {
    const args = ["--set", "image.repository=broken.invalid/x", "--timeout", "10s", "--rollback-on-failure"];
    await helm.fails("upgrade", "full", CHART, ...everything, ...args);
    const spec = JSON.stringify((await deployment()).spec);
    assert.ok(!spec.includes("broken.invalid"));
  });
  await step("rollback to the first revision", () =>
    helm.succeeds("rollback", "full", "1", "--wait", "--timeout", "60s"),
  );
  await step("every other values file, as the API server takes it", async () => {
    for (const name of readdirSync(join(CHART, "ci")))
      await helm.succeeds("install", "dry", CHART, "-f", join(CHART, "ci", name), "--dry-run=server");
  });
  await step("uninstall", () => helm.succeeds("uninstall", "full", "--wait", "--timeout", "60s"));
} finally {
  rmSync(dir, { recursive: true, force: true });
}

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

async function create(cluster: Cluster, path: string, object: object): Promise<void> {
  const { status, body } = await cluster.call("POST", path, object);
  assert.ok(status === 201, JSON.stringify(body).slice(0, 500));
}

async function createCrds(cluster: Cluster): Promise<void> {
  const operator = await goModule("github.com/prometheus-operator/prometheus-operator", "0.85.0", dir);
  const gateway = await goModule("sigs.k8s.io/gateway-api", "1.6.3", dir);
  const crds = join(operator, "example/prometheus-operator-crd");
  const files = [
    join(crds, "monitoring.coreos.com_servicemonitors.yaml"),
    join(crds, "monitoring.coreos.com_prometheusrules.yaml"),
    join(gateway, "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"),
  ];
  for (const file of files)
    for (const document of parseAllDocuments(readFileSync(file, "utf8")))
      await create(cluster, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", document.toJS() as object);
  const groups = ["/apis/monitoring.coreos.com/v1", "/apis/gateway.networking.k8s.io/v1"];
  for (const path of groups) await until(async () => (await cluster.call("GET", path)).status === 200, path, 20_000);
}

/** What of a release is left. */
async function workloads(cluster: Cluster): Promise<string[]> {
  const paths = [
    `/apis/apps/v1/namespaces/${NAMESPACE}/deployments`,
    `/apis/apps/v1/namespaces/${NAMESPACE}/statefulsets`,
    `/apis/batch/v1/namespaces/${NAMESPACE}/jobs`,
    `/api/v1/namespaces/${NAMESPACE}/services`,
    `/apis/networking.k8s.io/v1/namespaces/${NAMESPACE}/networkpolicies`,
  ];
  const lists = await Promise.all(paths.map((path) => cluster.call<{ items: KubeObject[] }>("GET", path)));
  return lists.flatMap(({ body }) => body.items.map(({ metadata }) => metadata.name));
}
