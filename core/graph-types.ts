import type { PermissionChange } from "./rows.ts";
import type { Resource } from "./uuid.ts";

/** What the caller knows of an object that is checked or routed: facts of its own row. Times are UTC milliseconds. */
export type ObjectFacts = {
  uuid: string;
  resource: Resource;
  owner: string | null;
  /** The row's own trash_at (groups, collections). */
  trashAt?: number | null;
  /** Links only. headOwner = owner_uuid of the head's row, where it is known. */
  link?: { linkClass: string; tail: string; head: string; headOwner?: string | null };
  /** Tokens only: whose token it is. */
  tokenUser?: string;
};

/** What a delta did. The first three are disjoint, and together exactly the users whose grants changed. */
export type Effect = {
  /** Lost a right (they may have gained others too): their sessions are cut. */
  shrank: Set<string>;
  /** Gained rights and lost none. */
  grew: Set<string>;
  /** Same rights under other patterns: sessions get a notice, and nothing waits for them. */
  moved: Set<string>;
  /**
   * Lost no right, but older sessions may hold patterns that are no longer right (outdated.ts), from this process or from one with other
   * audiences: sessions whose grants are not the current ones are cut.
   */
  outdated: Set<string>;
  /**
   * Something that existed already has other routes from now on, which shows in nobody's grants: a share with an audience role began or
   * ended, or an object moved, went to the trash, was frozen, changed its container. Readers by checks (log tails) check again.
   */
  rerouted: boolean;
};

export type GraphOptions = {
  clusterId: string;
  /** Arvados' Users.RoleGroupsVisibleToAll. */
  roleGroupsVisibleToAll: boolean;
  /** Shares with a role of more members than this are published as a copy under `@role`. */
  audienceMin: number;
  /**
   * A user with about more patterns than this is an audience of itself: what is shared with it is published as a copy under `@user`.
   * Below `session.grantsMax`, so that no login is refused because of what others shared. By default 3,000.
   */
  heavyMin?: number;
  /** What more links than this point at is granted to heavy users by patterns: it bounds the copies of one event. By default 100. */
  crowdMin?: number;
};

/** A user's subscribe rights: patterns (core/routes.ts), sorted, never ending in `*`, never empty. */
export type Grants = { patterns: readonly string[] /** Equal rights, equal hash. */; hash: string };

/** One step of an explanation, a sentence with the uuids in it. */
export type Explanation = { allowed: boolean; steps: string[] };

export interface PermissionEngine {
  /** Applies rows' new values as one commit. */
  apply(changes: readonly PermissionChange[]): Effect;
  /** May `user` read the object (Arvados' read rule, include_trash)? */
  check(user: string, object: ObjectFacts, now: number): boolean;
  grants(user: string): Grants;
  /** Routes of an event about the object; empty = hidden from everyone. */
  route(object: ObjectFacts, now: number): string[];
  /** The same for its deletion. */
  routeDelete(object: ObjectFacts): string[];
  explain(user: string, object: ObjectFacts, now: number): Explanation;
}
