import type { Audiences } from "../audience/audiences.ts";
import type { Crowds } from "../audience/crowds.ts";
import type { Topology } from "../store/topology.ts";
import {
  type Closure,
  type KeptClosure,
  managedClosure,
  type RightLevel,
  roleClosure,
  userClosure,
} from "./closure.ts";
import { keptOf } from "./kept.ts";
import { LevelZero } from "./level-zero.ts";

/** All that a principal reads or manages: its own closure first, then those its audience roles bring. */
export type Closures = readonly Closure[];

type Cached = {
  readonly user: Map<number, KeptClosure>;
  readonly role: Map<number, KeptClosure>;
  readonly managed: Map<number, KeptClosure>;
  readonly rights: Map<number, Closures>;
  readonly roleRights: Map<number, Closures>;
  readonly managedRights: Map<number, Closures>;
  readonly kept: Map<number, Closure>;
  readonly keptRights: Map<number, Closures>;
};

/**
 * Closures, computed when first asked for and kept until a delta concerns their principal. Memory: about 30 bytes per seed,
 * so a cluster's users with some hundreds of shares each cost some tens of megabytes once all have logged in.
 */
export class ClosureCache {
  readonly #topology: Topology;
  readonly #audiences: Audiences;
  readonly #crowds: Crowds;
  #levelZero: LevelZero;
  readonly #levels: Readonly<Record<RightLevel, Cached>> = { 1: emptyCache(), 3: emptyCache() };

  constructor(topology: Topology, audiences: Audiences, crowds: Crowds) {
    this.#topology = topology;
    this.#audiences = audiences;
    this.#crowds = crowds;
    this.#levelZero = new LevelZero(topology);
  }

  /** A user's own closure. */
  user(user: number, level: RightLevel): KeptClosure {
    return remembered(this.#levels[level].user, user, () =>
      userClosure(this.#topology, this.#levelZero, user, level, this.#audiences.has),
    );
  }

  /** What a role gives its members, and those who manage them. */
  role(role: number, level: RightLevel): KeptClosure {
    return remembered(this.#levels[level].role, role, () =>
      roleClosure(this.#topology, this.#levelZero, role, level, this.#audiences.has),
    );
  }

  /** What a role gives its members alone. */
  managed(role: number, level: RightLevel): KeptClosure {
    return remembered(this.#levels[level].managed, role, () =>
      managedClosure(this.#topology, this.#levelZero, role, level, this.#audiences.has),
    );
  }

  /** A user's closure and those of its audience roles. */
  of(user: number, level: RightLevel): Closures {
    return remembered(this.#levels[level].rights, user, () => this.#withRoles(this.user(user, level), level));
  }

  /** What a heavy user has by patterns in every process (heavy.ts). */
  keptOf(user: number, level: RightLevel): Closures {
    const { kept, keptRights } = this.#levels[level];
    return remembered(keptRights, user, () =>
      this.#withRoles(
        remembered(kept, user, () => keptOf(this.#topology, user, this.user(user, level), this.#isKeptForSure)),
        level,
      ),
    );
  }

  /** Nodes are, or are no longer, kept by patterns. */
  forgetKept(): void {
    for (const cached of [this.#levels[1], this.#levels[3]]) {
      cached.kept.clear();
      cached.keptRights.clear();
    }
  }

  /** A user's closure where other roles count as audiences; not kept. */
  userBy(user: number, level: RightLevel, isAudience: (node: number) => boolean): Closure {
    return userClosure(this.#topology, this.#levelZero, user, level, isAudience);
  }

  /** Do links of unknown names matter to this user? */
  isByLevelZero(user: number): boolean {
    return this.#levelZero.concerns(user);
  }

  /** The roles a user itself is in, those behind audience roles included. */
  rolesOf(user: number, level: RightLevel): ReadonlySet<number> {
    const own = this.user(user, level);
    if (own.audiences.size === 0) return own.roles;
    const roles = new Set(own.roles);
    for (const role of this.#withBeyond(own.audiences, level)) {
      for (const beyond of this.role(role, level).roles) roles.add(beyond);
    }
    return roles;
  }

  /** What is copied under `@role.<role>`. */
  ofRole(role: number, level: RightLevel): Closures {
    return remembered(this.#levels[level].roleRights, role, () =>
      [...this.#withBeyond([role], level)].map((one) => this.role(one, level)),
    );
  }

  /** What is copied under `@managed.<role>`. */
  ofManaged(role: number, level: RightLevel): Closures {
    return remembered(this.#levels[level].managedRights, role, () => {
      const managed = [...this.#withBeyond([role], level)].map((one) => this.managed(one, level));
      const indirect = managed.flatMap((closure) => [...closure.indirect]);
      return [...managed, ...[...this.#withBeyond(indirect, level)].map((one) => this.role(one, level))];
    });
  }

  /** The closures of a role that are cached. */
  cachedOfRole(role: number, level: RightLevel): KeptClosure[] {
    const { role: given, managed } = this.#levels[level];
    return [given.get(role), managed.get(role)].filter((closure) => closure !== undefined);
  }

  /** Drops the closures of these, and every list that may hold one of them. */
  forget(principals: ReadonlySet<number>): void {
    this.#levelZero = new LevelZero(this.#topology);
    if (principals.size === 0) return;
    this.drop(principals);
    for (const cached of [this.#levels[1], this.#levels[3]]) {
      cached.rights.clear();
      cached.roleRights.clear();
      cached.managedRights.clear();
      cached.keptRights.clear();
    }
  }

  /** Drops what these have as users. What others have through them stays: their lists hold the same closures. */
  dropUsers(users: ReadonlySet<number>): void {
    for (const { user, rights, kept, keptRights } of [this.#levels[1], this.#levels[3]]) {
      for (const one of users) for (const map of [user, rights, kept, keptRights]) map.delete(one);
    }
  }

  /** The same for nodes through which nobody has anything. */
  drop(principals: Iterable<number>): void {
    for (const cached of [this.#levels[1], this.#levels[3]]) {
      for (const principal of principals) for (const map of Object.values(cached)) map.delete(principal);
    }
  }

  forgetAll(): void {
    this.#levelZero = new LevelZero(this.#topology);
    for (const cached of [this.#levels[1], this.#levels[3]]) for (const map of Object.values(cached)) map.clear();
  }

  readonly #isKeptForSure = (node: number): boolean =>
    this.#crowds.isSure(node) && (!this.#topology.roles.has(node) || this.#audiences.isSure(node));

  /** A user's own closure and those of its audience roles. */
  #withRoles(own: Closure, level: RightLevel): Closures {
    const roles = this.#withBeyond(own.audiences, level);
    const managed = [...roles].map((role) => this.managed(role, level));
    const indirect = [own, ...managed].flatMap((closure) => [...closure.indirect]);
    for (const role of this.#withBeyond(indirect, level)) roles.add(role);
    const others = [...[...roles].map((role) => this.role(role, level)), ...managed];
    return [own, ...others.filter((closure) => !isEmpty(closure))];
  }

  /** The roles and the audience roles reached from them. */
  #withBeyond(roles: Iterable<number>, level: RightLevel): Set<number> {
    const found = new Set(roles);
    for (const role of found) for (const beyond of this.role(role, level).audiences) found.add(beyond);
    return found;
  }
}

/** Nothing to look up, now or after a patch: with no tails no seed can come. */
function isEmpty({ own, direct, seeds, sources: tails }: Closure): boolean {
  return own.size + direct.size + seeds.size + tails.size === 0;
}

function emptyCache(): Cached {
  return {
    user: new Map(),
    role: new Map(),
    managed: new Map(),
    rights: new Map(),
    roleRights: new Map(),
    managedRights: new Map(),
    kept: new Map(),
    keptRights: new Map(),
  };
}

function remembered<T>(map: Map<number, T>, key: number, make: () => T): T {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}
