import type { Topology } from "../store/topology.ts";
import type { LevelZero } from "./level-zero.ts";
import { type Reach, reach } from "./reach.ts";

/** Reading asks for links of level 1, managing for level 3 (docs/arvados-permissions.md 3.2, 3.3). */
export type RightLevel = 1 | 3;

/**
 * What a principal (a user, or an audience role taken as one) reads or manages without what audience roles bring.
 * A new one is made after a delta, so a "before" can be kept while the rows move on.
 */
export type Closure = {
  /** Users whose every possession is in reach, projects and all: paths that begin with them. */
  readonly own: ReadonlySet<number>;
  /** Users of whose possessions only what they own directly is in reach, and no project (V8). */
  readonly direct: ReadonlySet<number>;
  /** Heads of the links in reach: groups with all below them, objects, users' records. */
  readonly seeds: ReadonlySet<number>;
  /** Audience roles the principal itself is in. */
  readonly audiences: ReadonlySet<number>;
  /**
   * Audience roles that only users managed by the principal are in: their own managed users are one step too far. And managed users
   * who are audiences themselves.
   */
  readonly indirect: ReadonlySet<number>;
  /** Roles, audience or not, the principal itself is in. */
  readonly roles: ReadonlySet<number>;
  /** Users and groups whose links were followed: `seeds` are the heads of these. */
  readonly sources: ReadonlySet<number>;
  /** Of these the ones with a link to some user: their copies of user records (`@via`). */
  readonly via: ReadonlySet<number>;
  /** Users whose records are granted one by one (heavy.ts); in most closures none. */
  readonly records: ReadonlySet<number>;
};

/** A closure as the cache keeps it: a share given or taken back adds or removes one seed in place (shares.ts). */
export type KeptClosure = Closure & { readonly seeds: Set<number> };

export type Draft = { -readonly [K in keyof Closure]: Set<number> };

type IsAudience = (role: number) => boolean;

/** A user's closure: the union over UU = itself and the users it manages, one step and no further (docs/arvados-permissions.md 3.2). */
export function userClosure(
  topology: Topology,
  zero: LevelZero,
  user: number,
  level: RightLevel,
  isAudience: IsAudience,
): KeptClosure {
  const draft = emptyDraft();
  const base = reach(topology, user, level, isAudience);
  addBase(topology, draft, base, level);
  draft.own.add(user);
  addManaged(topology, zero, draft, managed(zero, base, level, isAudience), level, isAudience);
  for (const owner of draft.own) draft.direct.delete(owner);
  for (const role of draft.audiences) draft.indirect.delete(role);
  return closureOf(draft);
}

/** What every member of a role reaches through it, and also who manages a member: the copies under `@role`. */
export function roleClosure(
  topology: Topology,
  zero: LevelZero,
  role: number,
  level: RightLevel,
  isAudience: IsAudience,
): KeptClosure {
  const draft = emptyDraft();
  const base = reach(topology, role, level, isAudience);
  addBase(topology, draft, base, level);
  for (const user of managed(zero, base, level, isAudience)) draft.direct.add(user);
  return closureOf(draft);
}

/** What members reach beyond that, through users whom the role manages: the copies under `@managed`. */
export function managedClosure(
  topology: Topology,
  zero: LevelZero,
  role: number,
  level: RightLevel,
  isAudience: IsAudience,
): KeptClosure {
  const draft = emptyDraft();
  const base = reach(topology, role, level, isAudience);
  addManaged(topology, zero, draft, managed(zero, base, level, isAudience), level, isAudience);
  for (const owner of draft.own) draft.direct.delete(owner);
  return closureOf(draft);
}

function emptyDraft(): Draft {
  return {
    own: new Set(),
    direct: new Set(),
    seeds: new Set(),
    audiences: new Set(),
    indirect: new Set(),
    roles: new Set(),
    sources: new Set(),
    via: new Set(),
    records: new Set(),
  };
}

const NONE: ReadonlySet<number> = new Set();

/** Most sets of most closures are empty: these share one, which saves memory and stays in the processor's cache. */
export function closureOf({ seeds, ...rest }: Draft): KeptClosure {
  const shared = (set: Set<number>): ReadonlySet<number> => (set.size === 0 ? NONE : set);
  return {
    own: shared(rest.own),
    direct: shared(rest.direct),
    seeds,
    audiences: shared(rest.audiences),
    indirect: shared(rest.indirect),
    roles: shared(rest.roles),
    sources: shared(rest.sources),
    via: shared(rest.via),
    records: shared(rest.records),
  };
}

/** Of nothing. */
export const EMPTY: Closure = closureOf(emptyDraft());

/** Into an empty draft, which then owns the walk's sets. */
function addBase(topology: Topology, draft: Draft, base: Reach, level: RightLevel): void {
  draft.seeds = base.seeds;
  draft.audiences = base.audiences;
  addAll(draft.roles, base.audiences);
  for (const source of base.sources) if (topology.roles.has(source)) draft.roles.add(source);
  addSources(topology, draft, base, level);
}

/** One step of UU: all that these users reach by themselves, and what the users managed by *them* own directly. */
function addManaged(
  topology: Topology,
  zero: LevelZero,
  draft: Draft,
  users: Set<number>,
  level: RightLevel,
  isAudience: IsAudience,
): void {
  for (const user of users) {
    // Without a row in `users` nobody reaches anything through it (docs/arvados-permissions.md 3.1); what it owns directly is still in reach.
    if (!topology.users.has(user)) {
      draft.direct.add(user);
      continue;
    }
    if (draft.own.has(user)) continue;
    draft.own.add(user);
    // Managed by many: what it reaches is published once for all of them.
    if (isAudience(user)) {
      draft.indirect.add(user);
      continue;
    }
    const more = reach(topology, user, level, isAudience);
    addAll(draft.seeds, more.seeds);
    addAll(draft.indirect, more.audiences);
    addSources(topology, draft, more, level);
    addAll(draft.direct, managed(zero, more, level, isAudience));
  }
}

/** The users whose possessions a walk reaches, less what an audience met on the way brings by itself (level-zero.ts). */
function managed(zero: LevelZero, base: Reach, level: RightLevel, isAudience: IsAudience): Set<number> {
  if (level !== 1 || !zero.concerns(base.start)) return base.managed;
  const rest = zero.managedFrom(base.start, base.audiences, isAudience);
  addAll(rest, base.managed);
  return rest;
}

function addSources(topology: Topology, draft: Draft, walk: Reach, level: RightLevel): void {
  const add = (source: number): void => {
    draft.sources.add(source);
    if (level === 1 && hasUserHead(topology, source)) draft.via.add(source);
  };
  add(walk.start);
  for (const source of walk.sources) add(source);
}

function hasUserHead(topology: Topology, source: number): boolean {
  return topology.out(source).some((edge) => edge.level >= 1 && topology.nodes.isUser(edge.head));
}

/** Would the closure have this head as a seed, by the links as they are now? For heads that are no sources. */
export function reachesHead(topology: Topology, closure: Closure, head: number, level: RightLevel): boolean {
  const edges = topology.in(head);
  if (edges.length <= closure.sources.size) {
    return edges.some((edge) => edge.level >= level && closure.sources.has(edge.tail));
  }
  for (const source of closure.sources) if (topology.links.highest(source, head) >= level) return true;
  return false;
}

function addAll(into: Set<number>, from: Iterable<number>): void {
  for (const one of from) into.add(one);
}
