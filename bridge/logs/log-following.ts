/** The log follower as part of the bridge: whether it runs, what it may use, and its metrics. It lives as long as a lead. */
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
/** With the requests under way this bounds what is held in memory. */
const READ_BYTES = 1024 * 1024;
/** With its headers below what LOGS takes as one message. */
const CHUNK_BYTES = LOG_MESSAGE_BYTES - 1_024;
const SWEEP_MS = 1_000;

/**
 * `nc`: a connection in STORE of its own, so that logs do not hold up records. What is acquired is released by `scope`.
 * Not async: between what `state` holds now and the first commit that the follower is told of there is none.
 */
export type FollowLogs = (nc: NatsConnection, jsm: JetStreamManager, state: GraphRowSet, scope: Scope) => LogFollower;

/** Null where no logs are followed. */
export function logFollowing({ config, log, metrics }: ServiceContext): FollowLogs | null {
  const { arvadosApiUrl: url, systemRootToken: token, logFollower: settings } = config;
  const now = Date.now;
  let running: LogFollower | null = null;
  const bytes = metrics.counter("follower_bytes_total", "Bytes of logs that the log follower has put into LOGS");
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
        if (error) log.error({ reason: reasonOf(error) }, "the gateways' tails cannot be heard");
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
    // Written by no gateway of ours; nobody is asked to answer for it.
    return [];
  }
}
