import type { Audiences } from "../audience/audiences.ts";
import type { Crowds } from "../audience/crowds.ts";
import { Threshold } from "../audience/threshold.ts";
import type { Topology } from "../store/topology.ts";
import type { ClosureCache } from "./closures.ts";
import { MOST_UNITS, Weights } from "./weights.ts";

/**
 * `light`: there are patterns and no copies; `copied`: both, for it may be heavy elsewhere; `disputed`: heavy here, and maybe not
 * elsewhere; `heavy` everywhere.
 */
export type Standing = "light" | "copied" | "disputed" | "heavy";

/**
 * *Heavy* users: those who have been given too much to have a grant for each of it in one session. Such a user is an audience of one:
 * what it reaches is published as a copy under `@user.<user>`, which every user may hear anyway, and is in no grant. So no user
 * can lock another one out by sharing, and a share that begins or ends changes routes only.
 *
 * Heavy users keep the patterns of what would make many copies of one event: the groups that hold everybody, and what is crowded
 * (crowds.ts).
 *
 * The two bounds between which processes may differ are those of docs/adr/0009.
 */
export class HeavyUsers {
  readonly #topology: Topology;
  readonly #scale: Weights;
  readonly #threshold: Threshold;
  /** Never less than the weight; exact where a user above the lower bound was just weighed. */
  readonly #weights = new Map<number, number>();
  /** By how much that may be wrong by now. */
  readonly #slack = new Map<number, number>();
  /** Users above the lower bound: copies are published for these. */
  readonly #possible = new Set<number>();
  readonly #heavy = new Set<number>();
  /** After a load no user is weighed until the first question. */
  #weighed = false;

  constructor(topology: Topology, audiences: Audiences, crowds: Crowds, rights: ClosureCache, min: number) {
    this.#topology = topology;
    this.#scale = new Weights(topology, audiences, crowds, rights);
    this.#threshold = new Threshold(min);
  }

  /** Users for whom copies are published. */
  get possible(): ReadonlySet<number> {
    this.weighAll();
    return this.#possible;
  }

  has(user: number): boolean {
    this.weighAll();
    return this.#heavy.has(user);
  }

  /** Does every process take the user for heavy? */
  isSure(user: number): boolean {
    return this.possible.has(user) && this.#threshold.isSure(this.#weights.get(user) ?? 0);
  }

  /** Weighs a user whose reach, or the way it is counted, has changed. */
  weigh(user: number): void {
    const { floor } = this.#threshold;
    let weight = this.#scale.quick(user, floor);
    if (weight > floor) weight = this.#scale.exact(user);
    this.#slack.delete(user);
    if (weight > 0) this.#weights.set(user, weight);
    else this.#weights.delete(user);
    if (this.#threshold.isPossible(weight)) this.#possible.add(user);
    else this.#possible.delete(user);
    if (this.#threshold.passes(weight, this.#heavy.has(user))) this.#heavy.add(user);
    else this.#heavy.delete(user);
  }

  /** Everybody, once after a load. */
  weighAll(): void {
    if (this.#weighed) return;
    this.#weighed = true;
    for (const user of this.#topology.users) this.weigh(user);
  }

  /** What a user stays while these heads (-1 = not known yet) come to its closures, or go; null = it may pass a bound. */
  whileTurning(user: number, heads: readonly number[]): Standing | null {
    this.weighAll();
    let most = 0;
    for (const head of heads) most += 2 * (head < 0 ? MOST_UNITS : this.#scale.unitsOf(head));
    const known = this.#stays(user, most);
    if (known !== null) return known;
    this.weigh(user);
    return this.#stays(user, most);
  }

  #stays(user: number, most: number): Standing | null {
    const { floor, min } = this.#threshold;
    const weight = this.#weights.get(user) ?? 0;
    if (weight + most <= floor) {
      this.#weights.set(user, weight + most);
      return "light";
    }
    const slack = (this.#slack.get(user) ?? 0) + most;
    const isBetween = weight - slack > floor && weight + slack <= min;
    const standing = this.#heavy.has(user)
      ? weight - slack > min
        ? "heavy"
        : isBetween
          ? "disputed"
          : null
      : isBetween
        ? "copied"
        : null;
    if (standing !== null) this.#slack.set(user, slack);
    return standing;
  }

  drop(users: Iterable<number>): void {
    for (const user of users) {
      this.#weights.delete(user);
      this.#slack.delete(user);
      this.#possible.delete(user);
      this.#heavy.delete(user);
    }
  }

  /** All are to be weighed again. */
  forgetAll(): void {
    this.#weighed = false;
    this.#weights.clear();
    this.#slack.clear();
    this.#possible.clear();
  }
}
