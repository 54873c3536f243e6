/** An image's container as Kubernetes would run ours: not root, no capability, no new privileges, a read-only root. On the host's network. */

import { execFile } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Ended, Processes } from "../support/servers/processes.ts";

const run = promisify(execFile);

/** What the image says, in OCI's words. */
export type ImageConfig = {
  User: string;
  Env: string[];
  Entrypoint: string[];
  Cmd: string[];
  WorkingDir: string;
  Labels: Record<string, string>;
};

export type ImageContainer = {
  ended: Promise<Ended>;
  /** As the host sees its first process. */
  pid(): Promise<number>;
  signal(name: string): Promise<void>;
};

export type ContainerMaker = {
  dir: string;
  /** The image's files, mounted. */
  rootfs: string;
  image: ImageConfig;
  processes: Processes;
};

let made = 0;

/** `entrypoint`: instead of the image's. */
export function startContainer(
  { dir, rootfs, image, processes }: ContainerMaker,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  entrypoint: readonly string[] = image.Entrypoint,
): ImageContainer {
  const id = `arvados-nats-${process.pid}-${++made}`;
  const bundle = join(dir, id);
  mkdirSync(bundle);
  const variables = [...image.Env, ...Object.entries(env).map(([name, value]) => `${name}=${value}`)];
  const spec = specOf(rootfs, image, [...entrypoint, ...args], variables);
  writeFileSync(join(bundle, "config.json"), JSON.stringify(spec));
  const state = ["--root", join(dir, "runc")];
  const { ended } = processes.start("runc", [...state, "run", "--bundle", bundle, id]);
  return {
    ended,
    pid: async () => (JSON.parse((await run("runc", [...state, "state", id])).stdout) as { pid: number }).pid,
    signal: async (name) => void (await run("runc", [...state, "kill", id, name])),
  };
}

/** From /proc: user and group ids, capabilities, whether it may ever get more, and how its root is mounted. */
export async function processPrivileges(
  pid: number,
): Promise<Record<"uid" | "gid" | "caps" | "noNewPrivs" | "root", string>> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  const field = (name: string) => new RegExp(`^${name}:\\s+(\\S+)`, "m").exec(status)?.[1] ?? "";
  const mounts = (await readFile(`/proc/${pid}/mountinfo`, "utf8")).split("\n").map((line) => line.split(" "));
  const root = mounts.find((fields) => fields[4] === "/")?.[5]?.split(",")[0] ?? "";
  return { uid: field("Uid"), gid: field("Gid"), caps: field("CapBnd"), noNewPrivs: field("NoNewPrivs"), root };
}

function specOf(rootfs: string, image: ImageConfig, args: string[], env: string[]): object {
  const [uid, gid] = image.User.split(":").map(Number);
  const none: string[] = [];
  return {
    ociVersion: "1.0.2",
    process: {
      user: { uid, gid },
      args,
      env,
      cwd: image.WorkingDir,
      capabilities: { bounding: none, effective: none, permitted: none, inheritable: none, ambient: none },
      noNewPrivileges: true,
    },
    root: { path: rootfs, readonly: true },
    mounts: [
      { destination: "/proc", type: "proc", source: "proc" },
      { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755", "size=64k"] },
    ],
    linux: { namespaces: ["pid", "ipc", "uts", "mount"].map((type) => ({ type })) },
  };
}
