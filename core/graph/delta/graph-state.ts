import type { Grants, GraphOptions } from "../../graph-types.ts";
import type { PermissionChange } from "../../rows.ts";
import { Audiences } from "../audience/audiences.ts";
import { Crowds } from "../audience/crowds.ts";
import type { RightLevel } from "../reach/closure.ts";
import { ClosureCache } from "../reach/closures.ts";
import { type Account, compileGrants, noGrants } from "../reach/grants.ts";
import { HeavyUsers } from "../reach/heavy.ts";
import { keptOf } from "../reach/kept.ts";
import { Topology } from "../store/topology.ts";
import { NOBODY, type Side, type UserReach } from "./effect.ts";

/** Where the options do not say: for `session.grantsMax` as it is by default. */
const HEAVY_MIN = 3_000;
const CROWD_MIN = 100;

/** The rows as a graph, with what was derived from them so far: audience roles, closures, grants. */
export class GraphState {
  readonly topology: Topology;
  readonly audiences: Audiences;
  readonly crowds: Crowds;
  readonly rights: ClosureCache;
  readonly heavy: HeavyUsers;
  readonly #roleGroupsVisibleToAll: boolean;
  readonly #grants = new Map<number, Grants>();

  constructor({ clusterId, audienceMin, roleGroupsVisibleToAll, heavyMin, crowdMin }: GraphOptions) {
    this.topology = new Topology(clusterId);
    this.crowds = new Crowds(this.topology, crowdMin ?? CROWD_MIN);
    this.audiences = new Audiences(this.topology, audienceMin, this.crowds);
    this.rights = new ClosureCache(this.topology, this.audiences, this.crowds);
    this.heavy = new HeavyUsers(this.topology, this.audiences, this.crowds, this.rights, heavyMin ?? HEAVY_MIN);
    this.#roleGroupsVisibleToAll = roleGroupsVisibleToAll;
  }

  /** Sets one row and nothing else: the caller drops what was derived from the old one. */
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

  /** A user's rights as they are now. Admins may read everything, so theirs are not computed. */
  reachOf(user: number): UserReach {
    const account = this.account(user);
    if (!account.known || account.admin) return { ...NOBODY, account };
    const heavy = this.heavy.has(user);
    return { account, heavy, reading: this.#side(user, 1, heavy), managing: this.#side(user, 3, heavy) };
  }

  grants(uuid: string): Grants {
    const user = this.topology.nodes.find(uuid);
    const account = this.account(user);
    if (!account.known) return noGrants(this.topology, uuid);
    const known = this.#grants.get(user);
    if (known !== undefined) return known;
    const { reading, managing } = this.reachOf(user);
    const grants = compileGrants(this.topology, uuid, account, reading.own, managing.own);
    this.#grants.set(user, grants);
    return grants;
  }

  /** Drops what was derived for these users and roles. */
  forget(principals: ReadonlySet<number>): void {
    this.rights.forget(principals);
    this.forgetGrants(principals);
  }

  forgetGrants(users: Iterable<number>): void {
    for (const user of users) this.#grants.delete(user);
  }

  /** At the end of a delta: ids that no row names any more are reused, so nothing derived for them may stay. */
  sweep(): void {
    const gone = this.topology.nodes.sweep();
    if (gone.length === 0) return;
    this.rights.drop(gone);
    this.forgetGrants(gone);
    this.audiences.drop(gone);
    this.crowds.drop(gone);
    this.heavy.drop(gone);
  }

  forgetAll(): void {
    this.rights.forgetAll();
    this.heavy.forgetAll();
    this.#grants.clear();
  }

  #side(user: number, level: RightLevel, heavy: boolean): Side {
    const whole = this.rights.user(user, level);
    const kept = (keeps: (node: number) => boolean) => keptOf(this.topology, user, whole, keeps);
    return {
      whole,
      own: heavy ? kept(this.crowds.has) : whole,
      widest: this.heavy.isSure(user) ? kept(this.crowds.isPossible) : whole,
      rights: this.rights.of(user, level),
      roles: this.rights.rolesOf(user, level),
    };
  }
}
