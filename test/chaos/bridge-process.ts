/**
 * A bridge in its own process, which a test can kill or stop: `bridge-process.ts <file with the configuration as JSON> <flags as JSON>`.
 * It ends when its standard input does, because its parent process is gone then.
 */
import { readFile } from "node:fs/promises";
import { runBridge } from "../../bridge/main.ts";
import type { Config } from "../../runtime/config/config.ts";
import { runService } from "../../runtime/lifecycle.ts";
import { createLog } from "../../runtime/log/log.ts";
import { hostService } from "../../runtime/service-host.ts";
import { NO_FENCE, NO_PAST_GRAPH } from "../support/worlds/bridge-guards.ts";

process.stdin.resume().once("close", () => process.exit(1));

const [file = "", flags = "{}"] = process.argv.slice(2);
const { unfenced = false, today = false } = JSON.parse(flags) as { unfenced?: boolean; today?: boolean };
const guards = { ...(unfenced ? { fence: NO_FENCE } : {}), ...(today ? NO_PAST_GRAPH : {}) };
const config = JSON.parse(await readFile(file, "utf8")) as Config;
const log = createLog({ level: config.logLevel, format: "json", secrets: [] });
process.exitCode = await runService({
  name: "bridge",
  log,
  start: (scope) =>
    hostService({
      name: "bridge",
      start: (context) => runBridge(context, guards),
      config,
      log,
      scope,
    }),
});
// The open standard input would keep it alive.
process.exit();
