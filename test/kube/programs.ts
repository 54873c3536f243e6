/**
 * What is in the images, as programs of this machine: `arvados-nats` from source, and nats-server. They get what a kubelet would give the container:
 * its environment with the values of Secrets, files of its volumes, the token of its service account. What differs is where things are: each pod has ports
 * of its own on loopback, folders of its own, and addresses of the cluster are put into its environment and arguments as those.
 */

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { freePorts } from "../../dev/servers/free-ports.ts";
import { answers, createProcesses } from "../support/servers/processes.ts";
import type { KubeCluster, KubeObject } from "./cluster.ts";
import type { PodProcess } from "./kubelet.ts";
import { isPodReady, type Pod, type PodContainer, type Volume } from "./pod.ts";

const MOUNTS = fileURLToPath(new URL("mounts.ts", import.meta.url));
const PATIENCE_MS = 60_000;

export type ProgramsOptions = {
  cluster: KubeCluster;
  namespace: string;
  /** A folder for what pods find and leave. */
  dir: string;
  natsServer: string;
  /** Where on this machine something outside of the cluster's namespace is: `nats.nats.svc:4222` → `localhost:34567`. */
  outside: Map<string, string>;
  /** Told what a container has said when it has ended. */
  onEnded: (pod: Pod, code: number, text: string) => void;
};

export type Programs = AsyncDisposable & {
  start(pod: Pod): Promise<PodProcess>;
  /** How many run. */
  running(): number;
};

type Service = KubeObject & {
  spec: {
    selector: Record<string, string>;
    publishNotReadyAddresses?: boolean;
    ports: { port: number; targetPort: number | string }[];
  };
};

export function createPrograms(options: ProgramsOptions): Programs {
  const { cluster, namespace, dir, natsServer, outside, onEnded } = options;
  const processes = createProcesses();
  /** By pod and container's port. A StatefulSet's pod keeps its name, and so its address. */
  const ports = new Map<string, Map<number, number>>();
  const running = new Set<string>();
  const api = (kind: string, name = "") => `/api/v1/namespaces/${namespace}/${kind}${name && `/${name}`}`;

  async function portsOf(pod: Pod): Promise<Map<number, number>> {
    const known = ports.get(pod.metadata.name);
    if (known) return known;
    const wanted = (pod.spec.containers[0].ports ?? []).map(({ containerPort }) => containerPort);
    const free = await freePorts(wanted.length);
    const own = new Map(wanted.map((port, index) => [port, free[index] as number]));
    ports.set(pod.metadata.name, own);
    return own;
  }

  async function contents(kind: "secrets" | "configmaps", name: string): Promise<Record<string, string>> {
    const { status, body } = await cluster.call<{ data?: Record<string, string> }>("GET", api(kind, name));
    if (status !== 200) throw new Error(`${kind} "${name}" not found`);
    const entries = Object.entries(body.data ?? {});
    return Object.fromEntries(
      kind === "secrets" ? entries.map(([key, value]) => [key, Buffer.from(value, "base64").toString()]) : entries,
    );
  }

  /** `host:port` of a Service of the namespace, as the pod behind it is reached here; null where it is none. */
  async function serviceAddress(host: string, port: number): Promise<string | null> {
    const { status, body } = await cluster.call<Service>("GET", api("services", host));
    if (status !== 200) return null;
    const { selector, publishNotReadyAddresses, ports: served } = body.spec;
    const query = Object.entries(selector)
      .map(([name, value]) => `${name}=${value}`)
      .join(",");
    const { body: list } = await cluster.call<{ items: Pod[] }>(
      "GET",
      `${api("pods")}?labelSelector=${encodeURIComponent(query)}`,
    );
    const target = served.find((one) => one.port === port)?.targetPort;
    const behind = list.items.findLast(
      (pod) => !pod.metadata.deletionTimestamp && (publishNotReadyAddresses || isPodReady(pod)),
    );
    const containerPort =
      typeof target === "number"
        ? target
        : behind?.spec.containers[0].ports?.find(({ name }) => name === target)?.containerPort;
    if (!behind || containerPort === undefined) throw new Error(`nothing is behind ${host}:${port} yet`);
    return `127.0.0.1:${(await portsOf(behind)).get(containerPort)}`;
  }

  /** An address to listen on, or one in a URL, or a path below a mount. */
  async function here(text: string, own: Map<number, number>, mounts: Map<string, string>): Promise<string> {
    const listen = /^:(\d+)$/.exec(text);
    if (listen) return `127.0.0.1:${own.get(Number(listen[1])) ?? listen[1]}`;
    const [, scheme, host, port, rest] = /^(\w+:\/\/)([\w.-]+):(\d+)(.*)$/.exec(text) ?? [];
    if (host && port) {
      const address = outside.get(`${host}:${port}`) ?? (await serviceAddress(host, Number(port)));
      return address ? `${scheme}${address}${rest}` : text;
    }
    for (const [path, folder] of mounts) if (text.startsWith(`${path}/`)) return text.replace(path, folder);
    return text;
  }

  async function environmentOf({ env = [] }: PodContainer): Promise<[name: string, value: string][]> {
    const entries: [string, string][] = [];
    for (const { name, value, valueFrom } of env) {
      const ref = valueFrom?.secretKeyRef;
      if (!ref) {
        entries.push([name, value ?? ""]);
        continue;
      }
      const found = await contents("secrets", ref.name).catch((error: unknown) => {
        if (ref.optional) return {} as Record<string, string>;
        throw error;
      });
      if (found[ref.key] !== undefined) entries.push([name, found[ref.key] as string]);
      else if (!ref.optional) throw new Error(`couldn't find key ${ref.key} in Secret ${namespace}/${ref.name}`);
    }
    return entries;
  }

  async function mount(volume: Volume, folder: string): Promise<string> {
    if (volume.persistentVolumeClaim) {
      const claim = join(dir, `claim-${volume.persistentVolumeClaim.claimName}`);
      mkdirSync(claim, { recursive: true });
      return claim;
    }
    mkdirSync(folder, { recursive: true });
    if (volume.configMap) write(folder, await contents("configmaps", volume.configMap.name));
    if (volume.secret) {
      const { secretName, items } = volume.secret;
      const all = await contents("secrets", secretName);
      const files = items?.map(({ key, path }) => [path, all[key] ?? missing(secretName, key)]) ?? Object.entries(all);
      write(folder, Object.fromEntries(files));
    }
    return folder;
  }

  async function account(pod: Pod, folder: string): Promise<void> {
    const path = `${api("serviceaccounts", pod.spec.serviceAccountName ?? "default")}/token`;
    const request = { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: { expirationSeconds: 3600 } };
    const { body } = await cluster.call<{ status: { token: string } }>("POST", path, request);
    mkdirSync(folder, { recursive: true });
    write(folder, { token: body.status.token, namespace, "ca.crt": cluster.ca });
  }

  async function start(pod: Pod): Promise<PodProcess> {
    const [container] = pod.spec.containers;
    const home = mkdtempSync(join(dir, `${pod.metadata.name}-`));
    const own = await portsOf(pod);
    const mounts = new Map<string, string>();
    for (const { name, mountPath } of container.volumeMounts ?? []) {
      const volume = pod.spec.volumes?.find((one) => one.name === name);
      if (volume && !volume.projected) mounts.set(mountPath, await mount(volume, join(home, name)));
    }
    const withToken = pod.spec.automountServiceAccountToken !== false;
    if (withToken) await account(pod, join(home, "account"));
    const { hostname, port } = new URL(cluster.url);
    const env: Record<string, string> = { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port };
    for (const [name, value] of await environmentOf(container)) env[name] = await here(value, own, mounts);
    const args: string[] = [];
    for (const arg of [...(container.command ?? []), ...(container.args ?? [])])
      args.push(await here(arg, own, mounts));

    const isNats = /^nats:/.test(container.image);
    if (isNats) for (const folder of mounts.values()) localizeConf(folder, own, mounts);
    const started = isNats
      ? processes.start(natsServer, args.slice(1), env)
      : processes.start(
          process.execPath,
          ["--import", "tsx", ...(withToken ? ["--import", MOUNTS] : []), "cli/main.ts", ...args],
          { ...env, POD_MOUNTS: join(home, "account") },
        );
    const { name } = pod.metadata;
    running.add(name);
    const ended = started.ended.then(({ code, text }) => {
      running.delete(name);
      rmSync(home, { recursive: true, force: true });
      onEnded(pod, code ?? 1, text);
      return code ?? 1;
    });
    const probe = container.readinessProbe?.httpGet;
    const probed = container.ports?.find((one) => one.name === probe?.port)?.containerPort;
    const url = probe && probed !== undefined ? `http://127.0.0.1:${own.get(probed)}${probe.path}` : undefined;
    return {
      ended,
      ready: async () => url !== undefined && (await answers(url)),
      stop: async () => {
        started.child.kill("SIGTERM");
        const over = await Promise.race([ended.then(() => true), delay(PATIENCE_MS, false, { ref: false })]);
        if (!over) started.child.kill("SIGKILL");
        await ended;
      },
    };
  }

  return { start, running: () => running.size, [Symbol.asyncDispose]: () => processes.end() };
}

/** nats-server takes ports, addresses and folders from its file. */
function localizeConf(folder: string, ports: Map<number, number>, mounts: Map<string, string>): void {
  for (const name of readdirSync(folder).filter((file) => file.endsWith(".conf"))) {
    let text = readFileSync(join(folder, name), "utf8");
    for (const [there, local] of ports) {
      text = text
        .replaceAll(`port: ${there}\n`, `port: ${local}\n`)
        .replaceAll(`0.0.0.0:${there}"`, `127.0.0.1:${local}"`);
    }
    // In one go: what stands for a folder may itself begin with another's name.
    text = text.replace(/"(\/\w+)/g, (whole, path: string) => (mounts.has(path) ? `"${mounts.get(path)}` : whole));
    writeFileSync(join(folder, name), text.replaceAll('"0.0.0.0"', '"127.0.0.1"'));
  }
}

function write(folder: string, files: Record<string, string>): void {
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
}

function missing(secret: string, key: string): never {
  throw new Error(`Secret ${secret} has no ${key}`);
}
