/** A bridge without one of its guards (`bridge/guards.ts`), for the negative controls: they show what the guard prevents. */
import type pg from "pg";
import type { Guards } from "../../../bridge/guards.ts";
import type { Fence } from "../../../bridge/streams/fence.ts";
import { Barrier } from "../../../core/barrier/bridge-side.ts";
import { parseLsn } from "../../../core/lsn.ts";

/** Messages are stored although another process writes into the stream. */
export const NO_FENCE: Fence = { headers: () => ({}), holds: () => true };

/** Records wait for no removal. */
export const NO_BARRIER: Partial<Guards> = {
  createBarrier() {
    const barrier = new Barrier();
    barrier.cut({ epoch: Number.POSITIVE_INFINITY, sequence: 0 });
    return barrier;
  },
};

/** Changes of the publications are not noticed. */
export const NO_CATALOG_WATCH: Partial<Guards> = {
  watchCatalogs: async (sql: pg.Client) => ({
    fingerprint: "",
    unchanged: async () => {},
    async flushed() {
      const { rows } = await sql.query<{ lsn: string }>("SELECT pg_current_wal_flush_lsn() AS lsn");
      return parseLsn(rows[0]?.lsn ?? "");
    },
  }),
};

/** Repeated commits are routed by the present graph. */
export const NO_PAST_GRAPH: Partial<Guards> = { createPastGraph: () => null };
