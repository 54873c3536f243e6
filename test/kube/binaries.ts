/** A Kubernetes control plane's programs, built once from their Go modules (some minutes) into `.cache/`. Or `$KUBE_BIN`, a folder that has them. */

import { execFile } from "node:child_process";
import { access, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { goModule, KUBERNETES, KUBERNETES_MODULE } from "../support/chart/kube-modules.ts";

const run = promisify(execFile);

const ETCD = "3.7.3";
const CACHE = fileURLToPath(new URL(`../../.cache/kube-${KUBERNETES}`, import.meta.url));
const MODULES = {
  etcd: "go.etcd.io/etcd/server/v3",
  "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
  "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
} as const;

export type KubeBinaries = Record<keyof typeof MODULES, string>;

export async function kubeBinaries(log: (line: string) => void): Promise<KubeBinaries> {
  const folder = process.env.KUBE_BIN ?? CACHE;
  const names = Object.keys(MODULES) as (keyof KubeBinaries)[];
  const paths = Object.fromEntries(names.map((name) => [name, join(folder, name)])) as KubeBinaries;
  for (const name of names) {
    if (await exists(paths[name])) continue;
    if (process.env.KUBE_BIN) throw new Error(`KUBE_BIN has no ${name}`);
    log(`building ${name}, once: this takes minutes`);
    await build(name, paths[name]);
  }
  return paths;
}

async function build(name: keyof KubeBinaries, path: string): Promise<void> {
  const work = `${path}.build`;
  await rm(work, { recursive: true, force: true });
  await mkdir(work, { recursive: true });
  try {
    const go = (...args: string[]) => run("go", args, { cwd: work, maxBuffer: 64 * 1024 * 1024 });
    await writeFile(join(work, "go.mod"), name === "etcd" ? etcdModule() : await kubernetesModule());
    await go("mod", "tidy");
    await go("build", "-trimpath", "-ldflags", ldflags(), "-o", join(work, name), MODULES[name]);
    await rename(join(work, name), path);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

function etcdModule(): string {
  return `module kubetest\n\ngo 1.26\n\ntool ${MODULES.etcd}\n\nrequire ${MODULES.etcd} v${ETCD}\n`;
}

/** Kubernetes' own go.mod points into its source tree for its parts; as a dependency they are modules of their own. */
async function kubernetesModule(): Promise<string> {
  const original = await readFile(join(await goModule(KUBERNETES_MODULE, KUBERNETES), "go.mod"), "utf8");
  const parts = [...original.matchAll(/^\t(k8s\.io\/\S+) => \.\/staging/gm)].map(([, part]) => part as string);
  const staging = KUBERNETES.replace(/^1\./, "0.");
  const lines = original.split("\n").filter((line) => /^(go|godebug) /.test(line));
  return [
    "module kubetest",
    ...lines,
    `require k8s.io/kubernetes v${KUBERNETES}`,
    ...parts.map((part) => `replace ${part} => ${part} v${staging}`),
    ...Object.values(MODULES)
      .filter((module) => module.startsWith("k8s.io"))
      .map((module) => `tool ${module}`),
    "",
  ].join("\n");
}

function ldflags(): string {
  const [major, minor] = KUBERNETES.split(".");
  const version = "k8s.io/component-base/version";
  const values = { gitVersion: `v${KUBERNETES}`, gitMajor: major, gitMinor: minor };
  return ["-s -w", ...Object.entries(values).map(([name, value]) => `-X ${version}.${name}=${value}`)].join(" ");
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
