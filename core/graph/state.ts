import type { PermissionChange } from "../rows.ts";
import { Audiences } from "./audiences.ts";
import type { Level } from "./closure.ts";
import { NOBODY, type Side, type Snapshot } from "./effect.ts";
import { type Account, compileGrants, noGrants } from "./grants.ts";
import { RightsCache } from "./rights.ts";
import { Topology } from "./topology.ts";
import type { Grants, GraphOptions } from "./types.ts";

/** The rows as a graph, with what was made of them so far: audience roles, closures, grants. */
export class GraphState {
  readonly topology: Topology;
  readonly audiences: Audiences;
  readonly rights: RightsCache;
  readonly #roleGroupsVisibleToAll: boolean;
  readonly #grants = new Map<number, Grants>();

  constructor({ clusterId, audienceMin, roleGroupsVisibleToAll }: GraphOptions) {
    this.topology = new Topology(clusterId);
    this.audiences = new Audiences(this.topology, audienceMin);
    this.rights = new RightsCache(this.topology, this.audiences);
    this.#roleGroupsVisibleToAll = roleGroupsVisibleToAll;
  }

  /** One row's new value, and nothing else: whoever calls sees to what was made of the old one. */
  set(change: PermissionChange): void {
    if (change.kind === "user") this.topology.setUser(change.uuid, change.row);
    else if (change.kind === "group") this.topology.setGroup(change.uuid, change.row);
    else if (change.kind === "link") this.topology.setLink(change.uuid, change.row);
    else if (change.kind === "owner") this.topology.setOwner(change.uuid, change.row);
    else this.topology.setRequest(change.uuid, change.row);
  }

  account(user: number): Account {
    const { topology } = this;
    if (user < 0 || !topology.isAccount(user)) return NOBODY.account;
    const seesRoles = this.#roleGroupsVisibleToAll && topology.isActive(user);
    return { known: true, admin: topology.isAdmin(user), seesRoles };
  }

  /** A user's rights as they are now. Admins may read everything, so theirs are not worked out. */
  snapshot(user: number): Snapshot {
    const account = this.account(user);
    if (!account.known || account.admin) return { ...NOBODY, account };
    return { account, reading: this.#side(user, 1), managing: this.#side(user, 3) };
  }

  grants(uuid: string): Grants {
    const user = this.topology.nodes.find(uuid);
    const account = this.account(user);
    if (!account.known) return noGrants(this.topology, uuid);
    const known = this.#grants.get(user);
    if (known !== undefined) return known;
    const { reading, managing } = this.snapshot(user);
    const grants = compileGrants(this.topology, uuid, account, reading.own, managing.own);
    this.#grants.set(user, grants);
    return grants;
  }

  /** Drops what was made for these users and roles. */
  forget(principals: ReadonlySet<number>): void {
    this.rights.forget(principals);
    this.forgetGrants(principals);
  }

  forgetGrants(users: Iterable<number>): void {
    for (const user of users) this.#grants.delete(user);
  }

  /** At the end of a delta: ids that no row names any more are free for others, so nothing made for them may stay. */
  sweep(): void {
    const gone = this.topology.nodes.sweep();
    if (gone.length === 0) return;
    this.rights.drop(gone);
    this.forgetGrants(gone);
    this.audiences.drop(gone);
  }

  forgetAll(): void {
    this.rights.forgetAll();
    this.#grants.clear();
  }

  #side(user: number, level: Level): Side {
    return {
      own: this.rights.user(user, level),
      rights: this.rights.of(user, level),
      roles: this.rights.rolesOf(user, level),
    };
  }
}
