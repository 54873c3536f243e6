/** The client on nats-py: a virtual environment made once, kept until its requirements change. */

import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { access, mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import {
  CLIENT_CACHE,
  type ForeignClient,
  type ForeignClientOptions,
  fingerprint,
  sourceDir,
  startClient,
} from "./foreign-client.ts";

const run = promisify(execFile);

/** Makes it where that is still to be done (some seconds, with pip); path of its python. */
export async function preparePython(): Promise<string> {
  const requirements = join(sourceDir("python"), "requirements.txt");
  const home = join(CLIENT_CACHE, `python-${await fingerprint(sourceDir("python"), ["requirements.txt"])}`);
  const python = join(home, "bin", "python");
  if (await exists(python)) return python;
  const temporary = `${home}.${randomUUID()}.tmp`;
  try {
    await mkdir(CLIENT_CACHE, { recursive: true });
    await run("python3", ["-m", "venv", temporary]);
    const pip = ["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", "-r", requirements];
    await run(join(temporary, "bin", "python"), pip);
    // A virtual environment may be moved as long as its python is called by path, and not its scripts.
    await rename(temporary, home).catch(async (error: unknown) => {
      // Somebody else has made it meanwhile.
      if (!(await exists(python))) throw error;
    });
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
  return python;
}

export async function startPythonClient(options: ForeignClientOptions): Promise<ForeignClient> {
  const script = join(sourceDir("python"), "client.py");
  return startClient({ command: await preparePython(), args: ["-u", script] }, options);
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
