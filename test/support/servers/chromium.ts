/**
 * A real Chromium without a window for tests: the one that the npm package carries (Linux x64), unpacked once into the
 * cache; elsewhere, `$CHROMIUM` or one on PATH.
 */
import { execFile } from "node:child_process";
import { access, constants, mkdir, readFile, rename, rm } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type Browser, chromium } from "playwright-core";

const CACHE = fileURLToPath(new URL("../../../.cache", import.meta.url));
const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];
/** Nothing may ask the network for anything: no updates, no field trials, no QUIC. */
const ARGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Closes itself: `await using chromium = await launchChromium()`. */
export async function launchChromium(): Promise<Browser> {
  const { path, fonts } = await findChromium();
  const env = { ...process.env, ...(fonts === null ? {} : { FONTCONFIG_PATH: fonts }) };
  return chromium.launch({ executablePath: path, headless: true, args: ARGS, env });
}

async function findChromium(): Promise<{ path: string; fonts: string | null }> {
  const named = process.env.CHROMIUM;
  if (named) return { path: named, fonts: null };
  if (process.platform === "linux" && process.arch === "x64") {
    const dir = await unpacked();
    // The package's fonts are for machines that have none; Debian's configuration wins.
    const fonts = (await exists("/etc/fonts/fonts.conf")) ? null : join(dir, "fonts");
    return { path: join(dir, "chromium"), fonts };
  }
  for (const dir of (process.env.PATH ?? "").split(delimiter)) {
    for (const name of NAMES) {
      if (await exists(join(dir, name))) return { path: join(dir, name), fonts: null };
    }
  }
  throw new Error("no Chromium: install one, or set CHROMIUM to the path of its binary");
}

/** The folder with the package's browser, unpacked by the first test run that needs it. */
async function unpacked(): Promise<string> {
  const home = new URL("../../../node_modules/@sparticuz/chromium/", import.meta.url);
  const { version } = JSON.parse(await readFile(new URL("package.json", home), "utf8")) as { version: string };
  const dir = join(CACHE, `chromium-${version}`);
  if (await exists(join(dir, "chromium"))) return dir;
  const staging = `${dir}.${process.pid}`;
  await mkdir(staging, { recursive: true });
  try {
    // It unpacks to the temporary folder, wherever that is: in a process of its own, that can be ours.
    const script = `import pack from ${JSON.stringify(new URL("build/esm/index.js", home).href)}; await pack.executablePath();`;
    await promisify(execFile)(process.execPath, ["--input-type=module", "-e", script], {
      env: { ...process.env, TMPDIR: staging },
    });
    // Whole or not at all; where another run was quicker, its copy serves.
    await rename(staging, dir);
  } catch (error) {
    if (!(await exists(join(dir, "chromium")))) throw error;
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
  return dir;
}

async function exists(path: string): Promise<boolean> {
  return access(path, constants.R_OK).then(
    () => true,
    () => false,
  );
}
