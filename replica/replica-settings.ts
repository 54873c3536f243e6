/** What the configuration says about the permission graph and the tokens, the same for every process that loads GRAPH. */
import type { GraphOptions } from "../core/graph-types.ts";
import type { TokenIndexOptions } from "../core/token/token-index.ts";
import type { Config } from "../runtime/config/config.ts";

export function replicaGraphOptions(config: Config): GraphOptions {
  const { clusterId, roleGroupsVisibleToAll, audienceMin, grantsMax } = config;
  // Below the limit: a session has subjects besides its grants, and a heavy user still has some grants.
  return { clusterId, roleGroupsVisibleToAll, audienceMin, heavyMin: Math.floor(grantsMax * HEAVY_SHARE) };
}

const HEAVY_SHARE = 3 / 4;

export function tokenOptions({ clusterId, systemRootToken, anonymousUserToken }: Config): TokenIndexOptions {
  return { clusterId, systemRootToken, anonymousSecret: anonymousUserToken };
}
