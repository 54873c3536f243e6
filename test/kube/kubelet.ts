/**
 * Stands in for the nodes of a cluster. Pods of Jobs and bare pods are done by what `work` gives for them, with the token of their service account;
 * all other pods are only said to run and to be ready, unless `broken` says that they never are.
 */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Cluster, KubeObject } from "./cluster.ts";

export type Pod = KubeObject & {
  metadata: {
    name: string;
    namespace: string;
    uid: string;
    deletionTimestamp?: string;
    ownerReferences?: { kind: string }[];
  };
  spec: {
    containers: { name: string; image: string; args?: string[] }[];
    serviceAccountName?: string;
    automountServiceAccountToken?: boolean;
  };
  status: { phase?: string };
};

/** What a pod's container finds: `mounts` is where the service account's files lie. */
export type Surroundings = { env: Record<string, string>; mounts: string };

export type KubeletOptions = {
  cluster: Cluster;
  namespace: string;
  /** The exit code of a pod that ends. */
  work: (pod: Pod, surroundings: Surroundings) => Promise<number>;
  broken: (pod: Pod) => boolean;
};

const POLL_MS = 50;

export function startKubelet(options: KubeletOptions): AsyncDisposable {
  const { cluster, namespace, broken } = options;
  const seen = new Set<string>();
  const running = new Set<Promise<void>>();
  let stopped = false;

  const look = async () => {
    const { body } = await cluster.call<{ items?: Pod[] }>("GET", `/api/v1/namespaces/${namespace}/pods`);
    for (const pod of body.items ?? []) {
      if (seen.has(pod.metadata.uid)) continue;
      seen.add(pod.metadata.uid);
      const done = care(pod)
        .catch((error: unknown) => void process.stderr.write(`kubelet: ${pod.metadata.name}: ${error}\n`))
        .finally(() => running.delete(done));
      running.add(done);
    }
  };

  const care = async (pod: Pod) => {
    const owner = pod.metadata.ownerReferences?.[0]?.kind;
    const ends = owner === undefined || owner === "Job";
    if (!ends) {
      await say(pod, "Running", !broken(pod));
      return;
    }
    await say(pod, "Running", true);
    const code = await inSurroundings(pod);
    await say(pod, code === 0 ? "Succeeded" : "Failed", false, code);
  };

  const inSurroundings = async (pod: Pod): Promise<number> => {
    const mounts = mkdtempSync(join(tmpdir(), "arvados-nats-pod-"));
    try {
      if (pod.spec.automountServiceAccountToken !== false) await mountAccount(pod, mounts);
      const { hostname, port } = new URL(cluster.url);
      return await options.work(pod, {
        mounts,
        env: { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port },
      });
    } finally {
      rmSync(mounts, { recursive: true, force: true });
    }
  };

  const mountAccount = async (pod: Pod, mounts: string) => {
    const account = pod.spec.serviceAccountName ?? "default";
    const { body } = await cluster.call<{ status: { token: string } }>(
      "POST",
      `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`,
      { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: { expirationSeconds: 3600 } },
    );
    mkdirSync(mounts, { recursive: true });
    const files = { token: body.status.token, namespace, "ca.crt": cluster.ca };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(mounts, name), text);
  };

  const say = async (pod: Pod, phase: string, ready: boolean, exitCode?: number) => {
    const time = new Date().toISOString().replace(/\.\d+Z$/, "Z");
    const condition = (type: string, ok: boolean) => ({
      type,
      status: ok ? "True" : "False",
      lastTransitionTime: time,
    });
    const state =
      exitCode === undefined
        ? { running: { startedAt: time } }
        : {
            terminated: { exitCode, reason: exitCode === 0 ? "Completed" : "Error", startedAt: time, finishedAt: time },
          };
    const status = {
      phase,
      startTime: time,
      podIP: "127.0.0.1",
      podIPs: [{ ip: "127.0.0.1" }],
      conditions: [
        condition("Initialized", true),
        condition("PodScheduled", true),
        condition("ContainersReady", ready),
        condition("Ready", ready),
      ],
      containerStatuses: pod.spec.containers.map(({ name, image }) => ({
        name,
        image,
        imageID: image,
        ready,
        started: true,
        restartCount: 0,
        state,
      })),
    };
    const path = `/api/v1/namespaces/${namespace}/pods/${pod.metadata.name}/status`;
    await cluster.call("PATCH", path, { status }, "application/merge-patch+json");
  };

  const loop = (async () => {
    while (!stopped) {
      await look().catch(() => {});
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    await Promise.all(running);
  })();
  return {
    async [Symbol.asyncDispose]() {
      stopped = true;
      await loop;
    },
  };
}
