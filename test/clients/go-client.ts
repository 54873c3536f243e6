/** The client on nats.go: built once with `go build`, kept until its sources change. */

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

/** Builds it where that is still to be done (some seconds; the first time the module is fetched); path of the program. */
export async function buildGoClient(): Promise<string> {
  const dir = sourceDir("go");
  const path = join(CLIENT_CACHE, `go-client-${await fingerprint(dir, ["main.go", "go.mod", "go.sum"])}`);
  const built = await access(path).then(
    () => true,
    () => false,
  );
  if (built) return path;
  const temporary = `${path}.${randomUUID()}.tmp`;
  try {
    await mkdir(CLIENT_CACHE, { recursive: true });
    await run("go", ["build", "-trimpath", "-o", temporary, "."], {
      cwd: dir,
      env: { ...process.env, CGO_ENABLED: "0" },
    });
    await rename(temporary, path);
  } finally {
    await rm(temporary, { force: true });
  }
  return path;
}

export async function startGoClient(options: ForeignClientOptions): Promise<ForeignClient> {
  return startClient({ command: await buildGoClient(), args: [] }, options);
}
