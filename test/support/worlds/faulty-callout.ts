/**
 * An authcallout that meets with an accident by its own hand, at a moment that nobody outside could hit: started by callout-process.ts,
 * with its configuration and the accident as JSON in the environment. Each step of the accident is a line on stdout.
 */
import { writeSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import type { Question } from "../../../authcallout/login/responder.ts";
import { runAuthcallout } from "../../../authcallout/main.ts";
import type { SystemAccount } from "../../../authcallout/sessions/system-account.ts";
import type { Config } from "../../../runtime/config/config.ts";
import { runService } from "../../../runtime/lifecycle.ts";
import { createLog, silentLog } from "../../../runtime/log/log.ts";
import { hostService } from "../../../runtime/service-host.ts";
import type { Accident } from "./callout-process.ts";

const { ACCIDENT = "", CALLOUT_CONFIG = "", TEST_LOG } = process.env;
const { dies, stops, kickDelay = 0 } = JSON.parse(ACCIDENT) as Accident;

/** Not when the event loop comes round to it: there may be no such time. */
const say = (line: string) => writeSync(1, `${line}\n`);
const hurt = (signal: "SIGSTOP" | "SIGKILL") => process.kill(process.pid, signal);

let isArmed = false;
process.on("SIGUSR2", () => {
  isArmed = true;
  say("armed");
});

function system(real: SystemAccount): SystemAccount {
  let isDying = false;
  return {
    ...real,
    async kick(server, cid) {
      if (isDying) return new Promise<boolean>(() => {});
      isDying = isArmed && dies !== undefined;
      say("kick");
      if (isDying && dies === "before a kick") hurt("SIGKILL");
      await delay(kickDelay);
      const isGone = await real.kick(server, cid);
      if (isDying) hurt("SIGKILL");
      return isGone;
    },
  };
}

let hasStopped = false;
function question(real: Question): Question {
  const respond = real.respond.bind(real);
  real.respond = (body) => {
    if (isArmed && stops && !hasStopped) {
      hasStopped = true;
      say("answer in hand");
      say(`at ${Date.now()}`);
      hurt("SIGSTOP");
    }
    return respond(body);
  };
  return real;
}

const config = JSON.parse(CALLOUT_CONFIG) as Config;
const log = TEST_LOG ? createLog({ level: "debug" }) : silentLog();
process.exitCode = await runService({
  name: "authcallout",
  log,
  start: (scope) =>
    hostService({
      name: "authcallout",
      async start(context) {
        const service = await runAuthcallout(context, { system, question });
        say(`replica ${service.replica}`);
        return service;
      },
      config,
      log,
      scope,
    }),
});
