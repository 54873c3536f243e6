/** Connects the log follower to the bridge: whether it runs, its limits, its metrics. `leader.ts` starts one for each term. */
import { type JetStreamManager, jetstream } from "@nats-io/jetstream";
import type { Msg, NatsConnection } from "@nats-io/nats-core";
import { reasonOf } from "../../core/errors.ts";
import { LOG_MESSAGE_BYTES } from "../../core/logs/log-files.ts";
import { subjectsOf } from "../../core/subjects.ts";
import type { Tailed } from "../../core/wire/wire.ts";
import type { Scope } from "../../runtime/scope.ts";
import { Semaphore } from "../../runtime/semaphore.ts";
import type { ServiceContext } from "../../runtime/service.ts";
import type { GraphRowSet } from "../rows/graph-row-set.ts";
import { createLogApi } from "./log-api.ts";
import { LogContainers } from "./log-containers.ts";
import { LogFollower } from "./log-follower.ts";
import { LogStore } from "./log-store.ts";

const REQUEST_TIMEOUT_MS = 30_000;
const REQUESTS_PER_CONTAINER = 2;
/** With the number of requests this bounds the memory. */
const READ_BYTES = 1024 * 1024;
/** With its headers a chunk fits into a message of LOGS. */
const CHUNK_BYTES = LOG_MESSAGE_BYTES - 1_024;
const SWEEP_MS = 1_000;

/**
 * `nc`: a connection in STORE that nothing else uses, so that logs do not delay records. `scope` releases what is acquired.
 * Not async, so that no commit is missed between the current `state` and the first call of `apply`.
 */
export type FollowLogs = (nc: NatsConnection, jsm: JetStreamManager, state: GraphRowSet, scope: Scope) => LogFollower;

/** Null where no logs are followed. */
export function logFollowing({ config, log, metrics }: ServiceContext): FollowLogs | null {
  const { arvadosApiUrl: url, systemRootToken: token, logFollower: settings } = config;
  const now = Date.now;
  let running: LogFollower | null = null;
  const bytes = metrics.counter("follower_bytes_total", "Bytes of logs that the log follower wrote into LOGS");
  const requests = metrics.counter("follower_requests_total", "Requests for logs to the Arvados API by result", [
    "result",
  ]);
  metrics.gauge("follower_files", "Log files being followed", [], () => running?.size ?? 0);
  if (settings.mode === "off") return null;
  if (url === null || token === "") {
    const missing = url === null ? "arvados.apiUrl" : "arvados.systemRootToken";
    log.info({ missing }, "the log follower is off: logs are live only where containers publish them");
    return null;
  }
  const read = createLogApi({ url, token, timeoutMs: REQUEST_TIMEOUT_MS });
  const { pollMin, settle } = settings;
  const pollMax = Math.max(pollMin, settings.pollMax);
  const subjects = subjectsOf(config.clusterId);

  return (nc, jsm, state, scope) => {
    const follower = new LogFollower({
      subjects,
      containers: new LogContainers(state, now),
      always: settings.mode === "always",
      read,
      turns: new Semaphore(settings.requests, REQUESTS_PER_CONTAINER),
      store: new LogStore(jetstream(nc), jsm),
      rules: { pollMin, pollMax, believeAfter: settle, readBytes: READ_BYTES, chunkBytes: CHUNK_BYTES },
      now,
      log,
      onAnswer: (result) => requests.inc({ result }),
      onStored: (count) => bytes.inc(count),
    });
    running = follower;
    scope.defer("log follower", () => {
      follower.stop();
      running = null;
    });
    const sweep = setInterval(() => follower.sweep(), SWEEP_MS);
    scope.defer("log follower's sweep", () => clearInterval(sweep));
    nc.subscribe(subjects.tailed, {
      callback(error, message) {
        if (error) log.error({ reason: reasonOf(error) }, "the list of tailed logs cannot be received");
        else follower.tailed(tailedIn(message));
      },
    });
    return follower;
  };
}

function tailedIn(message: Msg): string[] {
  try {
    const { subjects } = message.json<Partial<Tailed>>();
    return Array.isArray(subjects) ? subjects.filter((subject) => typeof subject === "string") : [];
  } catch {
    // Not from one of our gateways, and no answer is expected.
    return [];
  }
}
