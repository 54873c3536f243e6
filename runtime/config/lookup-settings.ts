/** How authcallout asks Arvados' API about tokens that are not in the permission graph. Part of `CONFIG_TABLE`. */

export const LOOKUP_SETTINGS = {
  lookupKinds: {
    type: "choice",
    values: ["all", "remote", "none"],
    env: "ARVADOS_NATS_LOOKUP_KINDS",
    file: "lookup.kinds",
    default: "all",
    doc: "Which tokens without a row in Arvados' database authcallout asks about at arvados.apiUrl (unset: none): tokens of other clusters (remote), or also bare tokens, which may be OIDC access tokens (all).",
  },
  lookupKeep: {
    type: "duration",
    min: 5_000,
    max: 1_800_000,
    env: "ARVADOS_NATS_LOOKUP_KEEP",
    file: "lookup.keep",
    default: "60s",
    doc: "How long such an answer counts while the database has no row for the token. Its sessions then end, and their clients log in again.",
  },
  lookupTimeout: {
    type: "duration",
    min: 100,
    max: 60_000,
    env: "ARVADOS_NATS_LOOKUP_TIMEOUT",
    file: "lookup.timeout",
    default: "5s",
    doc: "How long Arvados' API may take. A login waits for half of callout.authTimeout at most; a later answer serves the next login.",
  },
  lookupParallel: {
    type: "integer",
    min: 1,
    max: 1_000,
    env: "ARVADOS_NATS_LOOKUP_PARALLEL",
    file: "lookup.parallel",
    default: "16",
    doc: "How many tokens authcallout asks about at a time.",
  },
} as const;
