import type { PermissionChange } from "../rows.ts";
import { commit } from "./commit.ts";
import { Explainer } from "./explain.ts";
import { impactOf } from "./impact.ts";
import { planOf } from "./plan.ts";
import { ReadRule } from "./read-rule.ts";
import { Routes, routable } from "./routes.ts";
import { GraphState } from "./state.ts";
import type { Effect, Explanation, Grants, GraphOptions, Impact, ObjectFacts, PermissionEngine } from "./types.ts";

export class PermissionGraph implements PermissionEngine {
  readonly #state: GraphState;
  readonly #rule: ReadRule;
  readonly #routes: Routes;
  #overlong = 0;

  constructor(options: GraphOptions) {
    this.#state = new GraphState(options);
    const { topology, audiences, rights } = this.#state;
    this.#rule = new ReadRule(topology, rights, options.roleGroupsVisibleToAll);
    this.#routes = new Routes(topology, audiences, rights, this.#rule);
  }

  /**
   * Takes in rows without working out whom they concern, as at start. Cheaper than `apply`, but every session's rights are
   * to be asked for anew afterwards.
   */
  load(changes: Iterable<PermissionChange>): void {
    const { audiences } = this.#state;
    for (const change of changes) this.#state.set(change);
    for (const role of audiences.recount(audiences.allKnown()).turned) audiences.turn(role);
    this.#state.forgetAll();
    this.#state.sweep();
  }

  apply(changes: readonly PermissionChange[]): Effect {
    return commit(this.#state, planOf(this.#state.topology, changes));
  }

  check(user: string, object: ObjectFacts, now: number): boolean {
    return this.#rule.check(this.#state.topology.nodes.find(user), object, now);
  }

  readers(object: ObjectFacts, now: number): string[] {
    const { nodes, users } = this.#state.topology;
    const readers = [...users].filter((user) => this.#rule.check(user, object, now));
    return readers.map((user) => nodes.uuid(user)).sort();
  }

  grants(user: string): Grants {
    return this.#state.grants(user);
  }

  route(object: ObjectFacts, now: number): string[] {
    return this.#routable(this.#routes.of(object, now));
  }

  routeDelete(object: ObjectFacts): string[] {
    return this.#routable(this.#routes.ofDeletion(object));
  }

  /** Where the last event goes that speaks of an object at the owner it has left: the old place's own path, and no copies. */
  routeLeft(object: ObjectFacts, oldOwner: string): string[] {
    return this.#routable([this.#routes.tailAt(object, oldOwner)]);
  }

  explain(user: string, object: ObjectFacts, now: number): Explanation {
    return new Explainer(this.#state.topology, this.#rule).explain(user, object, now);
  }

  impact(changes: readonly PermissionChange[]): Impact {
    return impactOf(this.#state, changes);
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
}
