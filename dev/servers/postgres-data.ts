/**
 * The data folder of the embedded PostgreSQL: where it lies, whose it is, and how it is filled. An empty one gets a copy of one that
 * initdb made once for this version and user, which stays in the cache.
 */
import { execFile } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { chmod, chown, mkdir, mkdtemp, readdir, readFile, rename, rm, statfs, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { type Binaries, cacheEntry, cacheFolder, canEnter, exists, openFolder, type RunAs } from "./postgres-place.ts";

const run = promisify(execFile);

/** The superuser. */
export const USER = "arvados";
/** In the data folder, mode 0600: the superuser's password. It is random, since a superuser can run programs. */
const PASSWORD_FILE = "superuser-password";
/** All that PostgreSQL gets of our environment, in which there may be secrets. Its messages are in English: we read them. */
export const ENVIRONMENT = { PATH: process.env.PATH ?? "/usr/bin:/bin", LC_ALL: "C" };
/** Files in memory on Linux; a container's is often too small (64 MB). */
const MEMORY = "/dev/shm";
/** Bytes: room for some hundred small databases and a gigabyte of WAL. */
const MEMORY_WANTED = 4 * 2 ** 30;

type DataFolder = {
  dataDir: string;
  /** Made by us and ours to remove. */
  temporary: boolean;
};

/** Where the data lies: the folder asked for, a stand-in for one that PostgreSQL's user cannot enter, or a temporary one. */
export async function dataFolder(options: { dataDir?: string; inMemory?: boolean }, as: RunAs): Promise<DataFolder> {
  if (options.dataDir === undefined) {
    const dataDir = await mkdtemp(join(await temporaryBase(options.inMemory ?? false, as), "arvados-nats-postgres-"));
    await hand(dataDir, as);
    return { dataDir, temporary: true };
  }
  let dataDir = resolve(options.dataDir);
  await mkdir(dataDir, { recursive: true });
  // It changes hands and mode: never somebody's home or checkout by a slip of the pen.
  if (!(await isDataFolder(dataDir)) && (await readdir(dataDir)).length > 0) {
    throw new Error(`${dataDir} is neither empty nor a PostgreSQL data folder: name another folder`);
  }
  await hand(dataDir, as);
  if (!(await canEnter(dataDir, as))) {
    const digest = createHash("sha256").update(dataDir).digest("hex").slice(0, 16);
    dataDir = join(await openFolder(), `data-${digest}`);
    await mkdir(dataDir, { recursive: true });
    await hand(dataDir, as);
  }
  return { dataDir, temporary: false };
}

async function temporaryBase(inMemory: boolean, as: RunAs): Promise<string> {
  if (inMemory && (await canEnter(MEMORY, as))) {
    const { bavail, bsize } = await statfs(MEMORY);
    if (bavail * bsize >= MEMORY_WANTED) return MEMORY;
  }
  return (await canEnter(tmpdir(), as)) ? tmpdir() : openFolder();
}

function isDataFolder(folder: string): Promise<boolean> {
  return exists(join(folder, "PG_VERSION"));
}

async function hand(folder: string, as: RunAs): Promise<void> {
  await chmod(folder, 0o700);
  if (as !== null) await chown(folder, as.uid, as.gid);
}

/**
 * Makes an empty folder a data folder; copying a template takes a tenth of initdb's time.
 * @returns the superuser's password
 */
export async function fillDataFolder(dataDir: string, binaries: Binaries, as: RunAs): Promise<string> {
  if (!(await isDataFolder(dataDir))) {
    // Each user has a template of his own: it is readable by him alone.
    const owner = as?.uid ?? process.getuid?.() ?? 0;
    const template = join(await cacheFolder(as), `postgres-${binaries.version}-data-${owner}`);
    await cacheEntry(template, (part) => initialise(part, binaries, as));
    // Beside it, then renamed over the empty folder: who is killed on the way leaves no half of a database.
    const part = `${dataDir}.part`;
    await rm(part, { recursive: true, force: true });
    await run("cp", ["-a", template, part]);
    await rename(part, dataDir);
  }
  return (await readFile(join(dataDir, PASSWORD_FILE), "utf8")).trim();
}

async function initialise(dataDir: string, binaries: Binaries, as: RunAs): Promise<void> {
  await mkdir(dataDir);
  await hand(dataDir, as);
  const secret = randomBytes(24).toString("base64url");
  const passwordFile = `${dataDir}-password`;
  try {
    await writeFile(passwordFile, `${secret}\n`, { mode: 0o600 });
    if (as !== null) await chown(passwordFile, as.uid, as.gid);
    await run(
      binaries.initdb,
      [
        ...["-D", dataDir, "-U", USER, `--pwfile=${passwordFile}`, "--auth=scram-sha-256"],
        // The password is random: stretching it would only slow each connection.
        ...["--set", "scram_iterations=1"],
        ...["--encoding=UTF8", "--no-locale", "--no-sync", "--no-data-checksums", "--no-instructions"],
      ],
      { ...as, cwd: "/", env: ENVIRONMENT },
    );
    const kept = join(dataDir, PASSWORD_FILE);
    await writeFile(kept, `${secret}\n`, { mode: 0o600 });
    if (as !== null) await chown(kept, as.uid, as.gid);
  } finally {
    await rm(passwordFile, { force: true });
  }
}
