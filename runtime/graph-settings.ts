/** What the configuration says about the permission graph and the tokens: the same for every service that keeps a copy. */
import type { GraphOptions } from "../core/graph/types.ts";
import type { TokenIndexOptions } from "../core/token-index.ts";
import type { Config } from "./config.ts";

export function graphOptions({ clusterId, roleGroupsVisibleToAll, audienceMin }: Config): GraphOptions {
  return { clusterId, roleGroupsVisibleToAll, audienceMin };
}

export function tokenOptions({ clusterId, systemRootToken, anonymousUserToken }: Config): TokenIndexOptions {
  return { clusterId, systemRootToken, anonymousSecret: anonymousUserToken };
}
