/** Settings for benchmarks in which one user is many: what is measured is the work, not the bounds. */
import type { ConfigOverrides } from "../../runtime/config/config.ts";

const NO_BOUND = 1_000_000;

export const UNBOUNDED = {
  sessionsPerUser: NO_BOUND,
  sessionsPerCredential: NO_BOUND,
  cutsPerMinute: NO_BOUND,
  loginsPerMinute: NO_BOUND,
} as const satisfies ConfigOverrides;
