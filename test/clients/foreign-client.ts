/** A client program in another language, run as a process: its environment says what it does, and it prints JSON lines. */

import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { TailRequest } from "../../core/wire/wire.ts";
import { PATIENCE_MS } from "../../dev/testing/until.ts";

export type ForeignClientOptions = {
  /** `nats://host:port` */
  url: string;
  /** An Arvados API token. */
  token: string;
  clusterId: string;
  /** The session id, sent as CONNECT user. */
  sid?: string;
  /** How the token is sent. Default: `token` (auth_token); for Python with a session id `password`, since it cannot send both. */
  credentials?: "token" | "password";
  /** Live subjects to follow. */
  subjects?: readonly string[];
  tail?: TailRequest;
};

/** What the programs print, one line each. */
export type ClientLine =
  | { type: "connected"; session: string }
  | { type: "reconnected" }
  | { type: "disconnected"; reason: string }
  /** The connection is gone for good; the program ends. */
  | { type: "closed"; reason: string }
  /** The server knows of the subscription (or has refused it: then `permission` was said before). */
  | { type: "subscribed"; subject: string }
  | { type: "permission"; reason: string }
  | { type: "error"; reason: string }
  | { type: "event"; subject: string; event_type: string; object_uuid: string; sequence: number }
  /** A message on a live subject that does not come from RECORDS. */
  | { type: "dropped"; subject: string }
  | { type: "notice"; notice: string; code: number }
  | { type: "tail"; id: string }
  | { type: "chunk"; offset: number; text: string }
  | { type: "tail_ended"; notice: string }
  | { type: "refused"; code: string; reason: string };

export type LineOf<T extends ClientLine["type"]> = Extract<ClientLine, { type: T }>;

export type ForeignClient = AsyncDisposable & {
  readonly pid: number | undefined;
  /** All lines so far. */
  readonly lines: readonly ClientLine[];
  /**
   * The next line of this type (for which `matches` holds) after the one of this type given last: lines of different types
   * come in no sure order. Fails after `timeoutMs`, or when the program has ended.
   */
  next<T extends ClientLine["type"]>(
    type: T,
    matches?: (line: LineOf<T>) => boolean,
    options?: { timeoutMs?: number },
  ): Promise<LineOf<T>>;
  /** SIGTERM; the exit code, null where a signal ended it. */
  stop(): Promise<number | null>;
  /** Resolves with the exit code when the program ends. */
  readonly exited: Promise<number | null>;
};

export type ClientProgram = { command: string; args: readonly string[]; env?: Readonly<Record<string, string>> };

export function startClient(program: ClientProgram, options: ForeignClientOptions): ForeignClient {
  const child = spawn(program.command, program.args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: process.env.PATH, ...program.env, ...environment(options) },
  });
  const lines: ClientLine[] = [];
  let stderr = "";
  let over = false;
  const waiting = new Set<() => void>();
  const wake = () => {
    for (const look of [...waiting]) look();
  };
  createInterface({ input: child.stdout }).on("line", (text) => {
    lines.push(JSON.parse(text) as ClientLine);
    wake();
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const exited = exitOf(child).finally(() => {
    over = true;
    wake();
  });
  exited.catch(() => {}); // The error reaches those who wait for a line or for the end.

  const positions = new Map<ClientLine["type"], number>();
  const next: ForeignClient["next"] = (type, matches = () => true, { timeoutMs = PATIENCE_MS } = {}) =>
    new Promise((resolve, reject) => {
      const settle = (act: () => void) => {
        clearTimeout(timer);
        waiting.delete(look);
        act();
      };
      const fail = (why: string) =>
        settle(() => reject(new Error(`${why}: no ${type} line.\nlines: ${JSON.stringify(lines)}\nstderr: ${stderr}`)));
      const look = () => {
        for (let place = positions.get(type) ?? 0; place < lines.length; place++) {
          const line = lines[place];
          if (line?.type !== type || !matches(line as LineOf<typeof type>)) continue;
          positions.set(type, place + 1);
          settle(() => resolve(line as LineOf<typeof type>));
          return;
        }
        if (over) fail("the client has ended");
      };
      const timer = setTimeout(() => fail(`${timeoutMs} ms are over`), timeoutMs);
      waiting.add(look);
      look();
    });

  const stop = async (): Promise<number | null> => {
    child.kill("SIGTERM");
    return exited;
  };
  return {
    pid: child.pid,
    lines,
    next,
    stop,
    exited,
    [Symbol.asyncDispose]: async () => {
      await stop();
    },
  };
}

function environment(options: ForeignClientOptions): Record<string, string> {
  return {
    NATS_URL: options.url,
    TOKEN: options.token,
    CLUSTER: options.clusterId,
    ...(options.sid === undefined ? {} : { SESSION: options.sid }),
    ...(options.credentials === undefined ? {} : { CREDENTIALS: options.credentials }),
    SUBJECTS: (options.subjects ?? []).join(" "),
    ...(options.tail === undefined ? {} : { TAIL: JSON.stringify(options.tail) }),
  };
}

function exitOf(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve(code));
  });
}

const HERE = dirname(fileURLToPath(import.meta.url));

/** Where prepared clients are kept: git-ignored, and removed with the checkout. */
export const CLIENT_CACHE = join(HERE, "..", "..", ".cache", "clients");

/** Folder of one language's sources. */
export function sourceDir(language: "go" | "python"): string {
  return join(HERE, language);
}

/** A short name for the contents of some files: what was built from them is built again when they change. */
export async function fingerprint(dir: string, files: readonly string[]): Promise<string> {
  const hash = createHash("sha256");
  for (const file of files)
    hash
      .update(file)
      .update("\0")
      .update(await readFile(join(dir, file)))
      .update("\0");
  return hash.digest("hex").slice(0, 16);
}
