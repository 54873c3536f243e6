/** Finds a nats-server binary that is new enough: `$NATS_SERVER`, then PATH, then one built from the module pinned in `go/`. */

import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { access, constants, mkdir, readFile, rename, rm } from "node:fs/promises";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Fault, fault, reasonOf } from "../../core/errors.ts";
import { isNewEnough, NATS_FLOOR, versionDefects } from "../../core/nats-version.ts";

const run = promisify(execFile);

const MODULE = "github.com/nats-io/nats-server/v2";

export type Log = (line: string) => void;
export type NatsBinary = { path: string; version: string; origin: "NATS_SERVER" | "PATH" | "built" };

type FindOptions = {
  env?: NodeJS.ProcessEnv;
  /** Where the built one is kept. Default: the checkout's `.cache/`. */
  cacheDir?: string;
  log?: Log;
};

export async function findNatsServer({
  env = process.env,
  cacheDir,
  log = () => {},
}: FindOptions = {}): Promise<NatsBinary> {
  const named = env.NATS_SERVER;
  if (named) return { path: named, version: await requireVersion(named), origin: "NATS_SERVER" };

  const onPath = await findOnPath("nats-server", env);
  if (onPath) {
    const version = await versionOf(onPath).catch(() => null);
    if (version && isNewEnough(version)) return { path: onPath, version, origin: "PATH" };
    log(
      version
        ? `nats-server on PATH (${onPath}) is ${version}, older than ${NATS_FLOOR} (of 2.15: 2.15.2): not used`
        : `nats-server on PATH (${onPath}) does not run: not used`,
    );
  }
  return build(env, cacheDir, log);
}

/** `2.15.2` of `nats-server: v2.15.2`; null for anything else. */
export function parseVersion(output: string): string | null {
  return /^nats-server: v(\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?)\s*$/m.exec(output)?.[1] ?? null;
}

async function requireVersion(path: string): Promise<string> {
  let version: string;
  try {
    version = await versionOf(path);
  } catch (error) {
    const reason = `NATS_SERVER names ${path}, which cannot be run: ${firstLine(error)}`;
    throw fault("nats.not_found", { reason, floor: NATS_FLOOR }, { cause: error });
  }
  if (!isNewEnough(version))
    throw fault("nats.too_old", { path, version, floor: NATS_FLOOR, why: versionDefects(version) });
  return version;
}

async function versionOf(path: string): Promise<string> {
  const { stdout } = await run(path, ["--version"], { timeout: 10_000 });
  const version = parseVersion(stdout);
  if (version === null) throw new Error(`it answers --version with ${JSON.stringify(stdout.slice(0, 80))}`);
  return version;
}

async function findOnPath(name: string, env: NodeJS.ProcessEnv): Promise<string | null> {
  for (const dir of (env.PATH ?? "").split(delimiter).filter(Boolean)) {
    const path = join(dir, name);
    const executable = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (executable) return path;
  }
  return null;
}

/** Builds it unless an earlier run has. Two processes may do so at once: each has its own temporary file, and renaming is atomic. */
async function build(env: NodeJS.ProcessEnv, cacheDir: string | undefined, log: Log): Promise<NatsBinary> {
  const goDir = join(await checkout(), "go");
  const pinned = await pinnedVersion(goDir);
  const cache = cacheDir ?? join(dirname(goDir), ".cache");
  const path = join(cache, `nats-server-v${pinned}`);
  const kept = await versionOf(path).catch(() => null);
  if (kept === pinned) return { path, version: pinned, origin: "built" };

  const go = await findOnPath("go", env);
  if (!go) throw fault("nats.not_found", { reason: "there is no `go` on PATH to build one with", floor: NATS_FLOOR });
  const begun = Date.now();
  log(`building nats-server ${pinned} from go/ (once; about a minute)`);
  const temporary = `${path}.${randomUUID()}.tmp`;
  try {
    await mkdir(cache, { recursive: true });
    await run(go, ["build", "-trimpath", "-ldflags=-s -w", "-o", temporary, MODULE], {
      cwd: goDir,
      env: { ...env, CGO_ENABLED: "0" },
      maxBuffer: 16 * 1024 * 1024,
    });
    const version = await requireVersion(temporary);
    await rename(temporary, path);
    log(`built nats-server ${version} in ${((Date.now() - begun) / 1000).toFixed(1)} s: ${path}`);
    return { path, version, origin: "built" };
  } catch (error) {
    if (error instanceof Fault) throw error;
    const reason = `building it in ${goDir} failed: ${lastLine(error)}`;
    throw fault("nats.not_found", { reason, floor: NATS_FLOOR }, { cause: error });
  } finally {
    await rm(temporary, { force: true });
  }
}

/** The folder that holds `go/go.mod`: the checkout, from the sources as from `dist/`. */
async function checkout(): Promise<string> {
  let dir = dirname(fileURLToPath(import.meta.url));
  for (;;) {
    const found = await access(join(dir, "go", "go.mod")).then(
      () => true,
      () => false,
    );
    if (found) return dir;
    const parent = dirname(dir);
    if (parent === dir) throw fault("nats.not_found", { reason: "go/go.mod is not there", floor: NATS_FLOOR });
    dir = parent;
  }
}

async function pinnedVersion(goDir: string): Promise<string> {
  const mod = await readFile(join(goDir, "go.mod"), "utf8");
  const version = new RegExp(`^\\s*(?:require )?${MODULE.replaceAll(".", "\\.")} v(\\S+)`, "m").exec(mod)?.[1];
  if (!version) throw fault("nats.not_found", { reason: `${goDir}/go.mod does not pin ${MODULE}`, floor: NATS_FLOOR });
  return version;
}

/** Go and exec put the reason last; the command line itself comes first. */
function lastLine(error: unknown): string {
  const stderr = (error as { stderr?: unknown }).stderr;
  const text = typeof stderr === "string" && stderr.trim() ? stderr : reasonOf(error);
  return text.trim().split("\n").at(-1) ?? "";
}

function firstLine(error: unknown): string {
  return reasonOf(error).split("\n")[0] ?? "";
}
