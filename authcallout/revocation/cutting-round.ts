/** Carries out one round of the leader (core/barrier/round.ts): each server is listed, and kicked of what is unsound on it. */
import { beginRound, type CutRound, gone, isEnforced, kicked, listed } from "../../core/barrier/round.ts";
import type { Servers } from "../sessions/servers.ts";
import type { Kicker } from "./kicker.ts";
import { type Judge, planCuts, type SessionAction } from "./revocation-plan.ts";
import type { ServerWatch } from "./server-watch.ts";

export type CuttingRoundParts = {
  watch: Pick<ServerWatch, "listInSpiteOf">;
  kicker: Kicker;
  servers: Servers;
  judge: Judge;
  signal: AbortSignal;
  onCut: (action: SessionAction) => void;
};

export class CuttingRound {
  readonly #parts: CuttingRoundParts;
  #round: CutRound;

  constructor(parts: CuttingRoundParts, mark: number) {
    this.#parts = parts;
    this.#round = beginRound(mark, parts.servers.ids());
  }

  /** Resolves true once no unsound session lives, however long that takes; false where we stop before. */
  async run(): Promise<boolean> {
    await Promise.all(Object.keys(this.#round.servers).map((server) => this.#clear(server)));
    return isEnforced(this.#round);
  }

  async #clear(server: string): Promise<void> {
    const { watch, servers, judge, signal } = this.#parts;
    const found = await watch.listInSpiteOf(server);
    if (found) await this.#cut(server, planCuts(found, judge));
    if (!signal.aborted && !servers.has(server)) this.#round = gone(this.#round, server);
  }

  async #cut(server: string, cuts: readonly SessionAction[]): Promise<void> {
    const { kicker, onCut } = this.#parts;
    const cids = cuts.map(({ session }) => session.cid);
    this.#round = listed(this.#round, server, cids);
    await kicker.cut(cuts, (action) => {
      this.#round = kicked(this.#round, server, action.session.cid);
      onCut(action);
    });
  }
}
