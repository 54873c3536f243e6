import type { PermissionChange } from "../rows.ts";
import { Reverse } from "./affected.ts";
import { Audiences, rolesBeyond } from "./audiences.ts";
import type { Closure, Level } from "./closure.ts";
import { Comparison, NOBODY, type Snapshot, sameClosure } from "./effect.ts";
import { type Account, compileGrants, noGrants } from "./grants.ts";
import { type Plan, planOf } from "./plan.ts";
import { ReadRule } from "./read-rule.ts";
import { RightsCache } from "./rights.ts";
import { Routes, routable } from "./routes.ts";
import { isPlainShare, Shares } from "./shares.ts";
import { Topology } from "./topology.ts";
import type { Effect, Explanation, Grants, GraphOptions, ObjectFacts, PermissionEngine } from "./types.ts";

export class PermissionGraph implements PermissionEngine {
  readonly #topology: Topology;
  readonly #audiences: Audiences;
  readonly #rights: RightsCache;
  readonly #rule: ReadRule;
  readonly #routes: Routes;
  readonly #grants = new Map<number, Grants>();
  readonly #options: GraphOptions;
  #overlong = 0;

  constructor(options: GraphOptions) {
    this.#options = options;
    this.#topology = new Topology(options.clusterId);
    this.#audiences = new Audiences(this.#topology, options.audienceMin);
    this.#rights = new RightsCache(this.#topology, this.#audiences);
    this.#rule = new ReadRule(this.#topology, this.#rights, options.roleGroupsVisibleToAll);
    this.#routes = new Routes(this.#topology, this.#audiences, this.#rights, this.#rule);
  }

  /** Takes in rows without asking whom they concern, as at start: cheaper than `apply`, and all sessions are to be looked at anew. */
  load(changes: Iterable<PermissionChange>): void {
    for (const change of changes) this.#set(change);
    for (const role of this.#audiences.recount(this.#audiences.allKnown()).turned) this.#audiences.turn(role);
    this.#rights.forgetAll();
    this.#grants.clear();
    this.#topology.sweep();
  }

  apply(changes: readonly PermissionChange[]): Effect {
    const plan = planOf(this.#topology, changes);
    if (isPlainShare(this.#topology, plan)) return this.#applyShares(plan);
    const reach = this.#reach(plan);
    const before = new Map<string, Snapshot>();
    // A user who comes with this very delta was nobody before it.
    for (const uuid of plan.users) if (this.#topology.nodes.find(uuid) < 0) before.set(uuid, NOBODY);
    for (const node of reach.principals) this.#remember(before, node);
    const copies = this.#copiesOf(reach.principals);

    for (const change of plan.changes) this.#set(change);
    this.#forget(reach.principals);
    for (const uuid of plan.users) this.#forget([this.#topology.nodes.find(uuid)]);
    for (const node of reach.repathed) this.#grants.delete(node);

    const heads = [...plan.heads].map((uuid) => this.#topology.nodes.find(uuid)).filter((node) => node >= 0);
    const { turned, copied } = this.#audiences.recount(rolesBeyond(this.#topology, heads));
    if (turned.size > 0) {
      const stop = this.#stopper(plan);
      const crossing = new Reverse(this.#topology, (role) => !turned.has(role) && stop(role));
      for (const role of turned) crossing.from(role);
      crossing.managers();
      for (const node of crossing.found) this.#remember(before, node);
      for (const role of turned) this.#audiences.turn(role);
      this.#forget(crossing.found);
    }

    const effect = this.#compare(plan, before, reach.repathed);
    effect.rerouted = plan.reroutes || copied || this.#copiesDiffer(copies);
    this.#topology.sweep();
    return effect;
  }

  #applyShares(plan: Plan): Effect {
    const { principals } = this.#reach(plan);
    const shares = new Shares(this.#topology, this.#audiences, this.#rights, principals, plan);
    for (const change of plan.changes) this.#set(change);
    const effect = shares.settle();
    for (const users of [effect.shrank, effect.grew, effect.moved]) {
      for (const user of users) this.#grants.delete(this.#topology.nodes.find(user));
    }
    this.#topology.sweep();
    return effect;
  }

  check(user: string, object: ObjectFacts, now: number): boolean {
    return this.#rule.check(this.#topology.nodes.find(user), object, now);
  }

  readers(object: ObjectFacts, now: number): string[] {
    const { nodes, users } = this.#topology;
    return [...users]
      .filter((user) => this.#rule.check(user, object, now))
      .map((user) => nodes.uuid(user))
      .sort();
  }

  grants(user: string): Grants {
    const node = this.#topology.nodes.find(user);
    const account = this.#account(node);
    if (!account.known) return noGrants(this.#topology, user);
    const known = this.#grants.get(node);
    if (known !== undefined) return known;
    const { reading, managing } = this.#snapshot(node);
    const grants = compileGrants(this.#topology, user, account, reading.own, managing.own);
    this.#grants.set(node, grants);
    return grants;
  }

  route(object: ObjectFacts, now: number): string[] {
    return this.#routable(this.#routes.of(object, now));
  }

  routeDelete(object: ObjectFacts): string[] {
    return this.#routable(this.#routes.ofDeletion(object));
  }

  explain(user: string, object: ObjectFacts, now: number): Explanation {
    return { allowed: this.check(user, object, now), steps: [] };
  }

  /** The owner of an object by its row in the graph, or null where there is none. */
  ownerOf(uuid: string): string | null {
    return this.#rule.ownerInGraph(uuid);
  }

  /** How many routes so far lacked a tail for its length: what lies that deep is not published. */
  get overlong(): number {
    return this.#overlong;
  }

  #routable(all: string[]): string[] {
    const found = routable(all);
    if (found.length < all.length) this.#overlong++;
    return found;
  }

  #set(change: PermissionChange): void {
    const topology = this.#topology;
    if (change.kind === "user") topology.setUser(change.uuid, change.row);
    else if (change.kind === "group") topology.setGroup(change.uuid, change.row);
    else if (change.kind === "link") topology.setLink(change.uuid, change.row);
    else if (change.kind === "owner") topology.setOwner(change.uuid, change.row);
    else topology.setRequest(change.uuid, change.row);
  }

  #stopper(plan: Plan): (role: number) => boolean {
    return plan.levelZero ? () => false : this.#audiences.has;
  }

  /** Whom the delta may concern, by the graph as it is before. */
  #reach(plan: Plan): { principals: Set<number>; repathed: Set<number> } {
    const changed = new Reverse(this.#topology, this.#stopper(plan));
    for (const tail of plan.tails) changed.from(tail);
    for (const user of plan.arrivals) changed.from(user);
    for (const uuid of plan.users) {
      const node = this.#topology.nodes.find(uuid);
      if (node >= 0) changed.found.add(node);
    }
    changed.managers();
    const repathed = new Reverse(this.#topology, this.#stopper(plan));
    for (const moved of plan.moved.keys()) {
      for (const node of this.#topology.ownership.subtree(moved)) {
        for (const edge of this.#topology.in(node)) repathed.from(edge.tail);
      }
    }
    repathed.managers();
    for (const node of repathed.found) changed.found.add(node);
    return { principals: changed.found, repathed: repathed.found };
  }

  #remember(before: Map<string, Snapshot>, node: number): void {
    const { nodes } = this.#topology;
    if (!nodes.isUser(node)) return;
    const uuid = nodes.uuid(node);
    if (!before.has(uuid)) before.set(uuid, this.#snapshot(node));
  }

  #account(node: number): Account {
    if (node < 0 || !this.#topology.isAccount(node)) return NOBODY.account;
    const seesRoles = this.#options.roleGroupsVisibleToAll && this.#topology.isActive(node);
    return { known: true, admin: this.#topology.isAdmin(node), seesRoles };
  }

  #snapshot(node: number): Snapshot {
    const account = this.#account(node);
    if (!account.known || account.admin) return { ...NOBODY, account };
    return { account, reading: this.#side(node, 1), managing: this.#side(node, 3) };
  }

  #side(user: number, level: Level): Snapshot["reading"] {
    return {
      own: this.#rights.user(user, level),
      rights: this.#rights.of(user, level),
      roles: this.#rights.rolesOf(user, level),
    };
  }

  #forget(principals: Iterable<number>): void {
    this.#rights.forget(principals);
    for (const node of principals) this.#grants.delete(node);
  }

  #copiesOf(principals: Iterable<number>): Map<number, Closure[]> {
    const copies = new Map<number, Closure[]>();
    for (const node of principals) {
      if (this.#audiences.isCopied(node)) copies.set(node, this.#roleClosures(node));
    }
    return copies;
  }

  #copiesDiffer(before: Map<number, Closure[]>): boolean {
    for (const [role, closures] of before) {
      if (!this.#audiences.isCopied(role)) return true;
      const after = this.#roleClosures(role);
      if (closures.some((closure, i) => !sameClosure(closure, after[i] as Closure))) return true;
    }
    return false;
  }

  #roleClosures(role: number): Closure[] {
    return [
      this.#rights.role(role, 1),
      this.#rights.role(role, 3),
      this.#rights.managed(role, 1),
      this.#rights.managed(role, 3),
    ];
  }

  #compare(plan: Plan, before: Map<string, Snapshot>, repathed: Set<number>): Effect {
    const comparison = new Comparison(this.#topology, plan.moved, plan.records);
    const effect: Effect = { shrank: new Set(), grew: new Set(), moved: new Set(), rerouted: false };
    for (const [uuid, snapshot] of before) {
      const node = this.#topology.nodes.find(uuid);
      const after = node < 0 ? NOBODY : this.#snapshot(node);
      const outcome = comparison.outcome(node, snapshot, after, repathed.has(node));
      if (outcome !== "same") effect[outcome].add(uuid);
    }
    return effect;
  }
}
