/**
 * Ends a nats-server whose starter died without ending it (`kill -9`, a crash): a small shell waits for the pipe from us to close.
 * A signal handler could not do that, since nothing runs in a process that was killed.
 */

import { spawn } from "node:child_process";

const SCRIPT = `
read -r dismissed && exit 0
kill -KILL "$1" 2>/dev/null
[ -z "$2" ] || rm -rf "$2"
`;

/** Minds the process `pid`; a temporary folder, where given, goes with it. Returns what dismisses the minder. */
export function mind(pid: number, temporary: string | undefined): () => void {
  const minder = spawn("/bin/sh", ["-c", SCRIPT, "nats-minder", String(pid), temporary ?? ""], {
    stdio: ["pipe", "ignore", "ignore"],
    // Not in our process group: a Ctrl-C must not end it before us.
    detached: true,
  });
  minder.unref();
  minder.on("error", () => {}); // No shell: then nobody minds.
  minder.stdin.on("error", () => {}); // It was killed: there is nobody left to dismiss.
  (minder.stdin as unknown as { unref?: () => void }).unref?.();
  return () => minder.stdin.end("dismissed\n");
}
