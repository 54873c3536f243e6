import type { Closure, Level } from "./closure.ts";
import { type Account, compileGrants, EMPTY, shownBySeed } from "./grants.ts";
import { hasDirect, hasOwn, holdsSeed, holdsUser } from "./holds.ts";
import type { RecordLink } from "./plan.ts";
import type { Rights } from "./rights.ts";
import type { Topology } from "./topology.ts";

/** A user's rights at one moment, complete enough to be compared with those of another. */
export type Snapshot = {
  readonly account: Account;
  readonly reading: Side;
  readonly managing: Side;
};

type Side = {
  readonly own: Closure;
  readonly rights: Rights;
  /** Roles the user itself is in, beyond audience roles too. */
  readonly roles: ReadonlySet<number>;
};

const NOTHING: Side = { own: EMPTY, rights: [], roles: new Set() };
export const NOBODY: Snapshot = {
  account: { known: false, admin: false, seesRoles: false },
  reading: NOTHING,
  managing: NOTHING,
};

/** What became of a user: see `Effect`. */
export type Outcome = "same" | "shrank" | "grew" | "moved";

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

  outcome(user: number, before: Snapshot, after: Snapshot, repathed: boolean): Outcome {
    if (before.account.known !== after.account.known) return after.account.known ? "grew" : "shrank";
    if (!before.account.known || (before.account.admin && after.account.admin)) return "same";
    if (before.account.admin !== after.account.admin) return after.account.admin ? "grew" : "shrank";
    const difference = new Difference();
    if (before.account.seesRoles !== after.account.seesRoles) {
      if (after.account.seesRoles) difference.gained = true;
      else difference.lost = true;
      difference.changed = true;
    }
    this.#compare(1, before.reading, after.reading, difference);
    this.#compare(3, before.managing, after.managing, difference);
    const changed = repathed || difference.unsure ? this.#patternsDiffer(user, before, after) : difference.changed;
    if (!changed) return "same";
    return difference.lost ? "shrank" : difference.gained ? "grew" : "moved";
  }

  #patternsDiffer(user: number, before: Snapshot, after: Snapshot): boolean {
    const uuid = this.#topology.nodes.uuid(user);
    const compile = (of: Snapshot) =>
      compileGrants(this.#topology, uuid, of.account, of.reading.own, of.managing.own).hash;
    return this.#inThePast(() => compile(before)) !== compile(after);
  }

  #inThePast<T>(ask: () => T): T {
    return this.#topology.ownership.asOf(this.#past, ask);
  }

  #compare(level: Level, before: Side, after: Side, difference: Difference): void {
    if (before.own === after.own) return;
    const managing = level === 3;
    const now = <T>(ask: () => T): T => ask();
    const past = <T>(ask: () => T): T => this.#inThePast(ask);
    const gone = (shows: (ask: () => boolean) => boolean, to: Side, one: (side: Side) => boolean): boolean =>
      !shows(() => one(to));
    const each = (
      pick: (closure: Closure) => ReadonlySet<number>,
      held: (side: Side, node: number) => boolean,
      shown: (closure: Closure, node: number) => boolean = () => true,
    ): void => {
      for (const node of pick(before.own)) {
        if (pick(after.own).has(node) || !past(() => shown(before.own, node))) continue;
        difference.changed = true;
        if (!difference.lost && gone(now, after, (side) => held(side, node))) difference.lost = true;
      }
      for (const node of pick(after.own)) {
        if (pick(before.own).has(node) || !shown(after.own, node)) continue;
        difference.changed = true;
        if (!difference.gained && gone(past, before, (side) => held(side, node))) difference.gained = true;
      }
    };
    each(
      (closure) => closure.own,
      (side, user) => hasOwn(side.rights, user),
    );
    each(
      (closure) => closure.direct,
      (side, user) => hasOwn(side.rights, user) || hasDirect(side.rights, user),
    );
    each(
      (closure) => closure.audiences,
      (side, role) => side.roles.has(role),
    );
    each(
      (closure) => closure.indirect,
      (side, role) => this.#holds(side, role),
    );
    each(
      (closure) => closure.seeds,
      (side, seed) => this.#holds(side, seed),
      (closure, seed) => {
        const shown = shownBySeed(this.#topology, closure, seed, managing);
        if (shown >= 0 && shown !== seed) difference.unsure = true;
        return shown >= 0;
      },
    );
    if (level === 1) this.#compareVia(before, after, difference);
  }

  /** `@via` patterns stand for the records of the users that a tail has links to. */
  #compareVia(before: Side, after: Side, difference: Difference): void {
    for (const tail of viaOf(before.own)) {
      if (viaOf(after.own).has(tail)) continue;
      difference.changed = true;
      difference.lost ||= this.#losesVia(tail, after);
    }
    for (const tail of viaOf(after.own)) {
      if (viaOf(before.own).has(tail)) continue;
      difference.changed = true;
      difference.gained ||= this.#inThePast(() => this.#losesVia(tail, before));
    }
  }

  /** Is the tail itself out of reach, or one of the users to whom a link of the delta went? */
  #losesVia(tail: number, side: Side): boolean {
    const { nodes } = this.#topology;
    const reached = nodes.isUser(tail) ? hasOwn(side.rights, tail) : this.#holds(side, tail);
    if (!reached) return true;
    const uuid = nodes.uuid(tail);
    return this.#records.some((link) => {
      if (link.tail !== uuid) return false;
      const user = nodes.find(link.user);
      return !holdsUser(this.#topology, side.rights, user);
    });
  }

  #holds(side: Side, node: number): boolean {
    return holdsSeed(this.#topology, side.rights, node);
  }
}

function viaOf(closure: Closure): ReadonlySet<number> {
  if (closure.audiences.size === 0 && closure.indirect.size === 0) return closure.via;
  return new Set([...closure.via, ...closure.audiences, ...closure.indirect]);
}

class Difference {
  changed = false;
  lost = false;
  gained = false;
  /** Circles of owners: several seeds may stand for one pattern, so only the patterns themselves tell. */
  unsure = false;
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
