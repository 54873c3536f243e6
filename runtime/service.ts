/** A service as its host sees it: it is started with a context, reports its readiness, drains on request, and ends. */
import type { Config } from "./config/table.ts";
import type { Logger } from "./log/log.ts";
import type { Metrics } from "./metrics.ts";
import type { Scope } from "./scope.ts";

export type ServiceContext = {
  config: Config;
  log: Logger;
  metrics: Metrics;
  /** Everything the service acquires registers its release here; the host closes it when the service has ended. */
  scope: Scope;
};

/** One condition of being ready, as text: `{ ok: true, says: "following at sequence 8812" }`. */
export type Condition = { ok: boolean; says: string };
export type Readiness = Record<string, Condition>;

export type Service = {
  /** Cheap and synchronous: it is called at every probe. */
  readiness(): Readiness;
  /** Accepts no new work and finishes what it has; `done` resolves after it. Called once. */
  drain(): Promise<void>;
  /** Resolves when the service has ended by itself or by `drain`, rejects when it cannot go on. */
  done: Promise<void>;
};

/** Resolves once the service works; a fault before that is thrown. */
export type StartService = (context: ServiceContext) => Promise<Service>;
