/** Loaded before a program that a pod would run (`--import`): what it reads below the service account's folder lies where POD_MOUNTS says. */

import fs from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";

const ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";
const readFile = fs.readFile;

fs.readFile = ((path: Parameters<typeof readFile>[0], ...rest: unknown[]) => {
  const moved = typeof path === "string" ? path.replace(ACCOUNT, process.env.POD_MOUNTS ?? ACCOUNT) : path;
  return (readFile as (...args: unknown[]) => Promise<unknown>)(moved, ...rest);
}) as typeof readFile;
syncBuiltinESMExports();
