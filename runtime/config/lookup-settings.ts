/** How tokens are asked about at Arvados' API that the permission graph does not know. Part of `CONFIG_TABLE`. */

export const LOOKUP_SETTINGS = {
  lookupKinds: {
    type: "choice",
    values: ["all", "remote", "none"],
    env: "ARVADOS_NATS_LOOKUP_KINDS",
    file: "lookup.kinds",
    default: "all",
    doc: "Tokens that Arvados' database does not have and authcallout asks about at arvados.apiUrl (unset: none): those of other clusters (remote), or also bare ones, which may be OIDC access tokens (all).",
  },
  lookupKeep: {
    type: "duration",
    min: 5_000,
    max: 1_800_000,
    env: "ARVADOS_NATS_LOOKUP_KEEP",
    file: "lookup.keep",
    default: "60s",
    doc: "How long such an answer counts where no row comes into the database for the token; its sessions end then, and their clients sign in again.",
  },
  lookupTimeout: {
    type: "duration",
    min: 100,
    max: 60_000,
    env: "ARVADOS_NATS_LOOKUP_TIMEOUT",
    file: "lookup.timeout",
    default: "5s",
    doc: "How long Arvados' API may take. A login waits for half of callout.authTimeout at most; what comes later serves the next one.",
  },
  lookupParallel: {
    type: "integer",
    min: 1,
    max: 1_000,
    env: "ARVADOS_NATS_LOOKUP_PARALLEL",
    file: "lookup.parallel",
    default: "16",
    doc: "How many tokens are asked about at a time.",
  },
} as const;
