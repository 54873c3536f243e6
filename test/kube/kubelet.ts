/**
 * Stands in for scheduler and node of a cluster: binds every pod of a namespace to a node, runs what is in it as `start` says, tells the API server how
 * it goes, starts it again where it ends and should not, and ends it where the pod is deleted. Without places to choose from, limits and preStop hooks.
 */

import { setTimeout as delay } from "node:timers/promises";
import { reasonOf } from "../../core/errors.ts";
import type { KubeCluster } from "./cluster.ts";
import { isTask, type Pod, type PodState, statusOf } from "./pod.ts";

export type PodProcess = {
  ended: Promise<number>;
  /** By the container's readiness probe. */
  ready(): Promise<boolean>;
  stop(): Promise<void>;
};

export type KubeletOptions = {
  cluster: KubeCluster;
  namespace: string;
  /** Rejects where the container cannot be made: a Secret is missing, for instance. Tried again then. */
  start: (pod: Pod) => Promise<PodProcess>;
};

const NODE = "local";
const POLL_MS = 50;
const AGAIN_MS = 500;
const BEAT_MS = 10_000;

export async function startKubelet({ cluster, namespace, start }: KubeletOptions): Promise<AsyncDisposable> {
  const base = `/api/v1/namespaces/${namespace}/pods`;
  /** Asked to end: deleted, or gone. */
  const leaving = new Map<string, AbortController>();
  const caring = new Map<string, Promise<void>>();
  let stopped = false;

  await cluster.call("POST", "/api/v1/nodes", { apiVersion: "v1", kind: "Node", metadata: { name: NODE } });

  const beat = async () => {
    const time = new Date().toISOString();
    const ready = { type: "Ready", status: "True", reason: "Here", lastHeartbeatTime: time, lastTransitionTime: time };
    const room = { cpu: "64", memory: "256Gi", pods: "500" };
    const status = { capacity: room, allocatable: room, conditions: [ready] };
    await cluster.call("PATCH", `/api/v1/nodes/${NODE}/status`, { status }, "application/merge-patch+json");
  };

  const look = async () => {
    const { status, body } = await cluster.call<{ items?: Pod[] }>("GET", base);
    if (status !== 200) return;
    const pods = new Map((body.items ?? []).map((pod) => [pod.metadata.uid, pod]));
    for (const [uid, pod] of pods) {
      if (!leaving.has(uid)) {
        const asked = new AbortController();
        leaving.set(uid, asked);
        const done = care(pod, asked.signal)
          .catch((error: unknown) => void process.stderr.write(`kubelet: ${pod.metadata.name}: ${reasonOf(error)}\n`))
          .finally(() => caring.delete(uid));
        caring.set(uid, done);
      }
      if (!pod.metadata.deletionTimestamp) continue;
      leaving.get(uid)?.abort();
      // With no grace any more: what was in it has ended.
      if (!caring.has(uid)) await cluster.call("DELETE", `${base}/${pod.metadata.name}`, { gracePeriodSeconds: 0 });
    }
    for (const [uid, asked] of leaving) if (!pods.has(uid)) asked.abort();
  };

  const care = async (pod: Pod, asked: AbortSignal) => {
    const target = { apiVersion: "v1", kind: "Node", name: NODE };
    const binding = { apiVersion: "v1", kind: "Binding", metadata: { name: pod.metadata.name }, target };
    await cluster.call("POST", `${base}/${pod.metadata.name}/binding`, binding);
    for (let restarts = 0; !asked.aborted; restarts++) {
      const code = await runOnce(pod, asked, restarts);
      if (code === null) return;
      if (code !== undefined && isTask(pod) && (code === 0 || pod.spec.restartPolicy === "Never")) {
        await say(pod, { state: "ended", code }, restarts);
        return;
      }
      if (code !== undefined)
        await say(
          pod,
          { state: "waiting", reason: "CrashLoopBackOff", message: `it ended with ${code}` },
          restarts + 1,
        );
      await delay(AGAIN_MS, undefined, { signal: asked }).catch(() => {});
    }
  };

  /** The exit code; undefined = it could not be started; null = it was asked to end. */
  const runOnce = async (pod: Pod, asked: AbortSignal, restarts: number): Promise<number | null | undefined> => {
    let running: PodProcess;
    try {
      running = await start(pod);
    } catch (error) {
      await say(pod, { state: "waiting", reason: "CreateContainerConfigError", message: reasonOf(error) }, restarts);
      return undefined;
    }
    const gone = new Promise<null>((resolve) => {
      if (asked.aborted) resolve(null);
      asked.addEventListener("abort", () => resolve(null));
    });
    const over = Promise.race([running.ended, gone]);
    let isOver = false;
    void over.then(() => {
      isOver = true;
    });
    // A task is as ready as it will be.
    let ready = isTask(pod);
    await say(pod, { state: "running", ready }, restarts);
    while (!isOver && !isTask(pod)) {
      const now = await running.ready();
      if (now !== ready && !isOver) await say(pod, { state: "running", ready: now }, restarts);
      ready = now;
      await Promise.race([over, delay(POLL_MS)]);
    }
    const code = await over;
    if (code === null) await running.stop();
    return code;
  };

  const say = async (pod: Pod, now: PodState, restarts: number) => {
    const time = new Date().toISOString().replace(/\.\d+Z$/, "Z");
    const status = statusOf(pod, now, restarts, time);
    await cluster.call("PATCH", `${base}/${pod.metadata.name}/status`, { status }, "application/merge-patch+json");
  };

  await beat();
  const beats = setInterval(() => void beat().catch(() => {}), BEAT_MS);
  const loop = (async () => {
    while (!stopped) {
      await look().catch((error: unknown) => void process.stderr.write(`kubelet: ${reasonOf(error)}\n`));
      await delay(POLL_MS);
    }
    for (const asked of leaving.values()) asked.abort();
    await Promise.all(caring.values());
  })();
  return {
    async [Symbol.asyncDispose]() {
      stopped = true;
      clearInterval(beats);
      await loop;
    },
  };
}
