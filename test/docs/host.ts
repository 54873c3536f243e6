/**
 * A machine to install on: the files of this one with its own changes over them, its own systemd as process 1, its own network with nothing but
 * loopback. Gone without a trace when it is stopped. Needs root, Linux namespaces and overlayfs.
 */

import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "../../dev/testing/until.ts";
import { createProcesses } from "../support/servers/processes.ts";

type ShellResult = { code: number | null; text: string };

export type ShellOptions = {
  env?: Readonly<Record<string, string>>;
  /** With this machine's network instead of its own: for what package registries have. */
  online?: boolean;
  input?: string;
};

export type Host = AsyncDisposable & {
  /** Runs a script as root would type it: stops at the first failure, and the next one begins in the folder where this one ended. */
  shell(script: string, options?: ShellOptions): Promise<ShellResult>;
  /** The same; throws what it said where it fails. */
  must(script: string, options?: ShellOptions): Promise<string>;
};

/** In namespaces of its own: what it mounts is gone with them. */
const BOOT = `
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
cd "$1/root"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mount --rbind /dev dev
mount -t tmpfs tmpfs sys/fs/cgroup
mkdir sys/fs/cgroup/systemd
mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
rm -f usr/sbin/policy-rc.d
# What systemd mounts for a unit (credentials) must appear in the units' own namespaces.
mount --make-rshared /
ip link set lo up
printf '127.0.0.1 localhost %s\\n' "$2" > etc/hosts
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot . /lib/systemd/systemd --system --unit=basic.target
`;
const NAMESPACES = ["--mount", "--pid", "--ipc", "--uts", "--cgroup"];
const WHERE = "/run/where";

/** `names`: what else its loopback is called. */
export async function startHost(names: readonly string[]): Promise<Host> {
  const dir = mkdtempSync(join(tmpdir(), "arvados-nats-host-"));
  const processes = createProcesses();
  writeFileSync(join(dir, "boot.sh"), BOOT);
  mkdirSync(join(dir, "disk"));
  const unshare = [...NAMESPACES, "--net", "--fork", "--kill-child", "--"];
  const { child, ended } = processes.start("unshare", [
    ...unshare,
    "sh",
    join(dir, "boot.sh"),
    join(dir, "disk"),
    names.join(" "),
  ]);
  const init = () => Number(readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").trim());

  const shell: Host["shell"] = (script, { env = {}, online = false, input = "" } = {}) => {
    const enter = ["--target", String(init()), ...NAMESPACES, ...(online ? [] : ["--net"]), "--root", "--wdns=/"];
    const whole = `cd "$(cat ${WHERE} 2>/dev/null || echo /root)"; trap 'pwd > ${WHERE}' EXIT\n${script}`;
    const shell = spawn("nsenter", [...enter, "bash", "-euo", "pipefail", "-c", whole], {
      env: { ...process.env, HOME: "/root", ...env },
    });
    // One that ends without having read its input is judged by its code.
    shell.stdin.on("error", () => {});
    shell.stdin.end(input);
    let text = "";
    for (const stream of [shell.stdout, shell.stderr]) {
      stream.setEncoding("utf8").on("data", (part: string) => {
        text += part;
      });
    }
    return new Promise((resolve, reject) => {
      shell.once("error", reject);
      shell.once("close", (code) => resolve({ code, text }));
    });
  };
  const dispose = async () => {
    // Process 1 takes everything of its namespace with it.
    if (child.exitCode === null) process.kill(init(), "SIGKILL");
    await ended;
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    const isUp = async () => /^(running|degraded)$/m.test((await shell("systemctl is-system-running || true")).text);
    await Promise.race([
      until(isUp, "systemd"),
      ended.then(({ text }) => Promise.reject(new Error(`no machine could be made here: ${text}`))),
    ]);
  } catch (error) {
    await dispose();
    throw error;
  }
  return {
    shell,
    async must(script, options) {
      const { code, text } = await shell(script, options);
      if (code === 0) return text;
      const journal = await shell("journalctl --no-pager -n 20 -o cat");
      throw new Error(`${script}\n--- ended with ${code}:\n${text}\n--- journal:\n${journal.text}`);
    },
    [Symbol.asyncDispose]: dispose,
  };
}
