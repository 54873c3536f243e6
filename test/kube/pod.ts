/** A pod as the API server has it, as far as a node looks into it; and what a node says about it. */

import type { ManifestContainer } from "../support/chart/helm.ts";
import type { KubeObject } from "./cluster.ts";

export type Volume = {
  name: string;
  secret?: { secretName: string; items?: { key: string; path: string }[] };
  configMap?: { name: string };
  persistentVolumeClaim?: { claimName: string };
  emptyDir?: object;
  projected?: object;
};

export type PodContainer = ManifestContainer & {
  command?: string[];
  volumeMounts?: { name: string; mountPath: string }[];
};

export type Pod = KubeObject & {
  metadata: {
    name: string;
    namespace: string;
    uid: string;
    labels?: Record<string, string>;
    deletionTimestamp?: string;
    ownerReferences?: { kind: string }[];
  };
  spec: {
    nodeName?: string;
    restartPolicy?: "Always" | "OnFailure" | "Never";
    containers: [PodContainer];
    volumes?: Volume[];
    serviceAccountName?: string;
    automountServiceAccountToken?: boolean;
  };
  status: { phase?: string; conditions?: { type: string; status: string }[] };
};

export type PodState =
  | { state: "waiting"; reason: string; message: string }
  | { state: "running"; ready: boolean }
  | { state: "ended"; code: number };

/** Whether it is to end by itself: a Job's, or one that nobody owns. */
export function isTask({ metadata }: Pod): boolean {
  const owner = metadata.ownerReferences?.[0]?.kind;
  return owner === undefined || owner === "Job";
}

export function isPodReady({ status }: Pod): boolean {
  return status.conditions?.some(({ type, status: is }) => type === "Ready" && is === "True") ?? false;
}

/** What a kubelet would write into `status`. */
export function statusOf(pod: Pod, now: PodState, restarts: number, time: string): object {
  const [container] = pod.spec.containers;
  const ready = now.state === "running" && now.ready;
  const condition = (type: string, ok: boolean) => ({ type, status: ok ? "True" : "False", lastTransitionTime: time });
  return {
    phase:
      now.state === "waiting"
        ? "Pending"
        : now.state === "running"
          ? "Running"
          : now.code === 0
            ? "Succeeded"
            : "Failed",
    startTime: time,
    podIP: "127.0.0.1",
    podIPs: [{ ip: "127.0.0.1" }],
    conditions: [
      condition("PodScheduled", true),
      condition("Initialized", true),
      condition("ContainersReady", ready),
      condition("Ready", ready),
    ],
    containerStatuses: [
      {
        name: container.name,
        image: container.image,
        imageID: container.image,
        ready,
        started: now.state === "running",
        restartCount: restarts,
        state: containerState(now, time),
      },
    ],
  };
}

/** A merge patch: what another state has left must be taken away by name. */
function containerState(now: PodState, time: string): object {
  const none = { waiting: null, running: null, terminated: null };
  switch (now.state) {
    case "waiting":
      return { ...none, waiting: { reason: now.reason, message: now.message } };
    case "running":
      return { ...none, running: { startedAt: time } };
    case "ended": {
      const reason = now.code === 0 ? "Completed" : "Error";
      return { ...none, terminated: { exitCode: now.code, reason, startedAt: time, finishedAt: time } };
    }
  }
}
