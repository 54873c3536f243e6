/** The parts of a term that guard a promise. A test replaces one, to show what happens without it (`test/support/worlds/bridge-guards.ts`). */
import { Barrier } from "../core/barrier/bridge-side.ts";
import type { Revision } from "../core/revision.ts";
import { CommitHandler, type CommitHandlerParts } from "./commit/commit-handler.ts";
import { PastGraph, type PastGraphOptions } from "./commit/past-graph.ts";
import { CatalogWatch } from "./postgres/catalog-watch.ts";
import { FENCE, type Fence } from "./streams/fence.ts";

export type Guards = {
  /** Two bridges never write into one stream. */
  fence: Fence;
  /** Records wait until removals are enforced. */
  createBarrier: () => Barrier;
  /** A change of the publications or tables ends the term. */
  watchCatalogs: (
    ...parameters: Parameters<typeof CatalogWatch.begin>
  ) => Promise<Pick<CatalogWatch, "fingerprint" | "flushed" | "unchanged">>;
  /** Repeated commits are routed by the graph at their time; null = by the present one. */
  createPastGraph: (options: PastGraphOptions) => PastGraph | null;
  /** A commit that cannot be handled costs only its own events. */
  createHandler: (parts: CommitHandlerParts, behind: Revision) => CommitHandler;
};

export const GUARDS: Guards = {
  fence: FENCE,
  createBarrier: () => new Barrier(),
  watchCatalogs: (sql, schema, names) => CatalogWatch.begin(sql, schema, names),
  createPastGraph: (options) => new PastGraph(options),
  createHandler: (parts, behind) => new CommitHandler(parts, behind),
};
