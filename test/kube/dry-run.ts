/** What the API server says of manifests when it is asked to create them, strictly, and not to keep them. */

import assert from "node:assert/strict";
import { MATRIX, type Manifest, render, valuesFile } from "../support/chart/helm.ts";
import type { KubeCluster } from "./cluster.ts";

// biome-ignore lint/suspicious/noExplicitAny: manifests are broken here in places that their type does not name.
type Loose = any;
type Wrong = [what: string, kind: string, breaks: (manifest: Loose) => void, says: RegExp];

const container = (manifest: Loose) => manifest.spec.template.spec.containers[0];

/** What no schema says (test/helm/schemas.test.ts has the others), and one that it says, to see that the server is strict. */
const WRONG: readonly Wrong[] = [
  [
    "a misspelt field",
    "Deployment",
    (m) => (container(m).imagePullpolicy = "Always"),
    /unknown field.*imagePullpolicy/,
  ],
  [
    "labels beside the selector",
    "Deployment",
    (m) => (m.spec.template.metadata.labels = { a: "b" }),
    /selector.*does not match/,
  ],
  ["a mount of no volume", "Deployment", (m) => (m.spec.template.spec.volumes = []), /volumeMounts.*[Nn]ot found/],
  [
    "two handlers of a probe",
    "Deployment",
    (m) => (container(m).livenessProbe.tcpSocket = { port: 1 }),
    /more than 1 handler/,
  ],
  [
    "a port's name twice",
    "Deployment",
    (m) => container(m).ports.push({ name: "admin", containerPort: 1 }),
    /Duplicate value: "admin"/,
  ],
  [
    "less granted than wanted",
    "Deployment",
    (m) => (container(m).resources.limits.memory = "1Mi"),
    /less than or equal to memory limit/,
  ],
  ["a pod that never ends", "Job", (m) => (m.spec.template.spec.restartPolicy = "Always"), /restartPolicy/],
  [
    "both bounds",
    "PodDisruptionBudget",
    (m) => (m.spec.minAvailable = 1),
    /cannot be both set|minAvailable and maxUnavailable/,
  ],
  ["more at least than at most", "HorizontalPodAutoscaler", (m) => (m.spec.minReplicas = 99), /maxReplicas/],
  ["a name of no host", "Ingress", (m) => (m.spec.rules[0].host = "Not A Host"), /host/],
  [
    "a path without a slash",
    "HTTPRoute",
    (m) => (m.spec.rules[0].matches[0].path.value = "nats"),
    /must be an absolute path/,
  ],
  ["a port above all ports", "NetworkPolicy", (m) => (m.spec.ingress[0].ports[0].port = 70_000), /between 1 and 65535/],
  ["no such type", "Service", (m) => (m.spec.type = "Somewhere"), /Unsupported value: "Somewhere"/],
];

export async function dryRunMatrix(cluster: KubeCluster, namespace: string): Promise<number> {
  let count = 0;
  for (const name of MATRIX) {
    for (const manifest of await render(...valuesFile(name))) {
      const { status, says } = await dryRun(cluster, namespace, manifest);
      assert.equal(status, 201, `${name}: ${manifest.kind} ${manifest.metadata.name}: ${says}`);
      count++;
    }
  }
  return count;
}

/** Each of the wrong ones is refused, and for its reason. */
export async function dryRunWrong(cluster: KubeCluster, namespace: string): Promise<number> {
  const manifests = await render(...valuesFile("everything"));
  for (const [what, kind, breaks, reason] of WRONG) {
    const copy = structuredClone(manifests.find((manifest) => manifest.kind === kind)) as Loose;
    breaks(copy);
    const { status, says } = await dryRun(cluster, namespace, copy);
    assert.ok(status === 400 || status === 422, `${kind} with ${what} is answered ${status}`);
    assert.match(says, reason, what);
  }
  return WRONG.length;
}

async function dryRun(
  cluster: KubeCluster,
  namespace: string,
  { metadata, ...manifest }: Manifest,
): Promise<{ status: number; says: string }> {
  const { apiVersion, kind } = manifest;
  const root = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const plural =
    kind === "NetworkPolicy" ? "networkpolicies" : `${kind.toLowerCase()}${kind === "Ingress" ? "es" : "s"}`;
  const path = `${root}/namespaces/${namespace}/${plural}?dryRun=All&fieldValidation=Strict`;
  // Of a name of its own, so that it stands in nobody's way.
  const object = { ...manifest, metadata: { ...metadata, name: `dry-${metadata.name}`.slice(0, 63), namespace } };
  const { status, body } = await cluster.call<{ message?: string }>("POST", path, object);
  return { status, says: body.message ?? "" };
}
