/** A bridge as a process of its own, which a test can kill or stop: `bridge-process.ts <file with the configuration as JSON> [unfenced | today]`. */
import { readFile } from "node:fs/promises";
import { runBridge } from "../../bridge/main.ts";
import type { Config } from "../../runtime/config.ts";
import { runService } from "../../runtime/lifecycle.ts";
import { createLog } from "../../runtime/log.ts";
import { hostService } from "../../runtime/service-host.ts";

const [file = "", flag] = process.argv.slice(2);
const config = JSON.parse(await readFile(file, "utf8")) as Config;
const log = createLog({ level: config.logLevel, format: "json", secrets: [] });
process.exitCode = await runService({
  name: "bridge",
  log,
  start: (scope) =>
    hostService({
      name: "bridge",
      start: (context) => runBridge(context, { fenced: flag !== "unfenced", rollBack: flag !== "today" }),
      config,
      log,
      scope,
    }),
});
