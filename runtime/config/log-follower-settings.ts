/** How the logs of running containers are followed. Part of `CONFIG_TABLE`. */

export const LOG_FOLLOWER_SETTINGS = {
  mode: {
    type: "choice",
    values: ["off", "onDemand", "always"],
    env: "ARVADOS_NATS_LOG_FOLLOWER",
    file: "logFollower.mode",
    default: "onDemand",
    doc: "Whether the bridge reads the logs of running containers from the Arvados API: those that a session tails, or all. Needs arvados.apiUrl and arvados.systemRootToken.",
  },
  pollMin: {
    type: "duration",
    min: 50,
    max: 60_000,
    env: "ARVADOS_NATS_LOG_FOLLOWER_POLL_MIN",
    file: "logFollower.pollMin",
    default: "500ms",
    doc: "How long the log follower waits before it reads a growing log again.",
  },
  pollMax: {
    type: "duration",
    min: 50,
    max: 600_000,
    env: "ARVADOS_NATS_LOG_FOLLOWER_POLL_MAX",
    file: "logFollower.pollMax",
    default: "10s",
    doc: "How long the log follower waits before it reads a quiet log again, and the longest wait after failures.",
  },
  settle: {
    type: "duration",
    min: 0,
    max: 600_000,
    env: "ARVADOS_NATS_LOG_FOLLOWER_SETTLE",
    file: "logFollower.settle",
    default: "5s",
    doc: "A log is complete when it is unchanged this long after its container ended. A log whose content was replaced must stay replaced for this long.",
  },
  requests: {
    type: "integer",
    min: 1,
    max: 1_000,
    env: "ARVADOS_NATS_LOG_FOLLOWER_REQUESTS",
    file: "logFollower.requests",
    default: "16",
    doc: "How many requests for logs may run at the Arvados API at a time; for one container at most two.",
  },
} as const;
