import { type Closure, EMPTY, type RightLevel } from "../reach/closure.ts";
import type { Closures } from "../reach/closures.ts";
import { type Account, compileGrants, shownBySeed } from "../reach/grants.ts";
import { hasDirect, hasOwn, holdsSeed, holdsUser } from "../reach/holds.ts";
import type { Topology } from "../store/topology.ts";
import type { RecordLink } from "./delta-plan.ts";

/** A user's rights at one moment, complete enough to be compared with those of another. */
export type UserReach = {
  readonly account: Account;
  /** Is what the user reaches published for itself alone (heavy.ts)? */
  readonly heavy: boolean;
  readonly reading: Side;
  readonly managing: Side;
};

export type Side = {
  /** All the user reaches but for its audience roles. */
  readonly whole: Closure;
  /** What of it stands in its grants here. */
  readonly own: Closure;
  /** What of it may stand in its grants in a process with another past. */
  readonly widest: Closure;
  readonly rights: Closures;
  /** Roles the user itself is in, beyond audience roles too. */
  readonly roles: ReadonlySet<number>;
};

const NOTHING: Side = { whole: EMPTY, own: EMPTY, widest: EMPTY, rights: [], roles: new Set() };
export const NOBODY: UserReach = {
  account: { known: false, admin: false, seesRoles: false },
  heavy: false,
  reading: NOTHING,
  managing: NOTHING,
};

/** What became of a user's grants. */
export class RightsDifference {
  /** Some pattern comes or goes. */
  changed = false;
  lost = false;
  gained = false;
  /** Circles of owners: several seeds may stand for one pattern, so only the patterns themselves tell. */
  unsure = false;

  get outcome(): "same" | "shrank" | "grew" | "moved" {
    if (!this.changed) return "same";
    return this.lost ? "shrank" : this.gained ? "grew" : "moved";
  }
}

/** A set of a closure, and when one of its members is still (or was already) held in some way. */
type Aspect = {
  readonly of: (closure: Closure) => ReadonlySet<number>;
  readonly held: (side: Side, node: number) => boolean;
  readonly shown: (closure: Closure, node: number) => boolean;
};

/**
 * Compares what users were granted before a delta with what they are granted after it. Grants differ where a pattern does;
 * a right is lost where what a pattern stood for (a project, a user's possessions, a membership) is out of reach, and not
 * where it only moved, or is covered by something else now.
 */
export class Comparison {
  readonly #topology: Topology;
  /** The owners that the delta replaced. */
  readonly #past: ReadonlyMap<number, number>;
  readonly #records: readonly RecordLink[];

  constructor(topology: Topology, past: ReadonlyMap<number, number>, records: readonly RecordLink[]) {
    this.#topology = topology;
    this.#past = past;
    this.#records = records;
  }

  /** `repathed`: some pattern may name another path though it stands for the same. */
  of(user: number, before: UserReach, after: UserReach, repathed: boolean): RightsDifference {
    const difference = new RightsDifference();
    const turned = (flag: keyof Account): boolean => {
      if (before.account[flag] === after.account[flag]) return false;
      difference.changed = true;
      difference[after.account[flag] ? "gained" : "lost"] = true;
      return true;
    };
    if (turned("known") || !before.account.known) return difference;
    if (turned("admin") || before.account.admin) return difference;
    turned("seesRoles");
    this.sides(1, before.reading, after.reading, difference);
    this.sides(3, before.managing, after.managing, difference);
    // What has come or gone is a pattern of its own, unless circles of owners are about: then only the patterns tell.
    if (difference.unsure || repathed) {
      if (difference.unsure || !difference.changed) difference.changed = this.#patternsDiffer(user, before, after);
      if (difference.changed) this.#addBrokenCircles(before, difference);
    }
    return difference;
  }

  /**
   * Whoever had a part of a circle of owners had a pattern for its topmost group, which may now be published about apart from
   * the rest. That is not looked into: such users are taken to have lost something.
   */
  #addBrokenCircles({ reading, managing }: UserReach, difference: RightsDifference): void {
    for (const [level, { own }] of [[1, reading] as const, [3, managing] as const]) {
      for (const seed of own.seeds) {
        const shown = this.#inThePast(() => shownBySeed(this.#topology, own, seed, level === 3));
        if (shown >= 0 && shown !== seed) difference.lost = true;
      }
    }
  }

  /** Adds what one level of rights has lost and gained. */
  sides(level: RightLevel, before: Side, after: Side, difference: RightsDifference): void {
    if (before.own === after.own) return;
    for (const aspect of this.#aspects(level, difference)) {
      const { of, held, shown } = aspect;
      for (const node of of(before.own)) {
        if (of(after.own).has(node) || !this.#inThePast(() => shown(before.own, node))) continue;
        difference.changed = true;
        if (!held(after, node)) difference.lost = true;
      }
      for (const node of of(after.own)) {
        if (of(before.own).has(node) || !shown(after.own, node)) continue;
        difference.changed = true;
        if (!this.#inThePast(() => held(before, node))) difference.gained = true;
      }
    }
  }

  #aspects(level: RightLevel, difference: RightsDifference): Aspect[] {
    const always = () => true;
    const aspects: Aspect[] = [
      { of: ({ own }) => own, held: ({ rights }, user) => hasOwn(rights, user), shown: always },
      {
        of: ({ direct }) => direct,
        held: ({ rights }, user) => hasOwn(rights, user) || hasDirect(rights, user),
        shown: always,
      },
      {
        of: ({ audiences }) => audiences,
        held: ({ roles }, role) => roles.has(role),
        shown: always,
      },
      {
        of: ({ indirect }) => indirect,
        held: (side, role) => (this.#topology.nodes.isUser(role) ? hasOwn(side.rights, role) : this.#holds(side, role)),
        shown: always,
      },
      {
        of: ({ records }) => records,
        held: ({ rights }, user) => holdsUser(this.#topology, rights, user),
        shown: always,
      },
      {
        of: ({ seeds }) => seeds,
        held: (side, seed) => this.#holds(side, seed),
        shown: (closure, seed) => {
          const shown = shownBySeed(this.#topology, closure, seed, level === 3) >= 0;
          difference.unsure ||= shown && this.#topology.ownership.circleTop(seed) >= 0;
          return shown;
        },
      },
    ];
    if (level === 1) {
      aspects.push({ of: viaOf, held: (side, tail) => this.#holdsRecords(side, tail), shown: always });
    }
    return aspects;
  }

  /** Is the tail in reach, and each of the users to whom a link of the delta went? The `@via` pattern stands for these. */
  #holdsRecords(side: Side, tail: number): boolean {
    const { nodes } = this.#topology;
    const reached = nodes.isUser(tail) ? hasOwn(side.rights, tail) : this.#holds(side, tail);
    if (!reached) return false;
    const uuid = nodes.uuid(tail);
    return this.#records
      .filter((link) => link.tail === uuid)
      .every((link) => holdsUser(this.#topology, side.rights, nodes.find(link.user)));
  }

  #holds(side: Side, node: number): boolean {
    return holdsSeed(this.#topology, side.rights, node);
  }

  #patternsDiffer(user: number, before: UserReach, after: UserReach): boolean {
    const uuid = this.#topology.nodes.uuid(user);
    const compile = (of: UserReach) =>
      compileGrants(this.#topology, uuid, of.account, of.reading.own, of.managing.own).hash;
    return this.#inThePast(() => compile(before)) !== compile(after);
  }

  #inThePast<T>(ask: () => T): T {
    return this.#topology.ownership.asOf(this.#past, ask);
  }
}

/** The tails of a closure's `@via` patterns: audience roles always have one. */
function viaOf(closure: Closure): ReadonlySet<number> {
  if (closure.audiences.size === 0 && closure.indirect.size === 0) return closure.via;
  return new Set([...closure.via, ...closure.audiences, ...closure.indirect]);
}

/** Do two closures of a role give the same? */
export function sameClosure(a: Closure, b: Closure): boolean {
  return (
    a === b ||
    (sameSet(a.own, b.own) &&
      sameSet(a.direct, b.direct) &&
      sameSet(a.seeds, b.seeds) &&
      sameSet(a.audiences, b.audiences) &&
      sameSet(a.indirect, b.indirect))
  );
}

function sameSet(a: ReadonlySet<number>, b: ReadonlySet<number>): boolean {
  if (a.size !== b.size) return false;
  for (const one of a) if (!b.has(one)) return false;
  return true;
}
