import type { Effect, Explanation, Grants, GraphOptions, ObjectFacts, PermissionEngine } from "../graph-types.ts";
import type { PermissionChange } from "../rows.ts";
import { applyDelta } from "./delta/delta.ts";
import { planOf } from "./delta/delta-plan.ts";
import { GraphState } from "./delta/graph-state.ts";
import { Explainer } from "./explain/explain.ts";
import { Routes, routable } from "./publish/routes.ts";
import { ReadRule } from "./reach/read-rule.ts";

/**
 * Who may read what: Arvados' permission rules over its rows (docs/arvados-permissions.md 2 and 3), in memory, updated row by row.
 *
 * **Data.** Uuids are integers (`nodes.ts`, `uuid-index.ts`); who owns what, sibling lists and request-to-container lists are
 * Int32 columns (`ownership.ts`, `requests.ts`); links are objects in lists by tail and head (`permission-links.ts`); `topology.ts` is all
 * of it. What a project holds is never enumerated: nothing here knows how many collections there are.
 *
 * **Rights.** For a user, a *closure* (`closure.ts`) is computed when first needed and kept: the heads of the links it
 * reaches (*seeds*), the users whose possessions are within reach (*own*, and *direct* for two steps of user management), and the
 * audience roles it is in (`audiences.ts`), which have closures of their own, shared by all members (`closures.ts`). The walk goes
 * from role to role along links (`reach.ts`) and never down into projects. Whether something is within reach is found
 * from below: climb its owners until one is a seed, or the user at the top is owned (`holds.ts`). `check` and `route` ask
 * that (`read-rule.ts`, `routes.ts`); `grants` are the closure written as subject patterns, less what a seed above covers
 * (`grants.ts`); both build them by `core/routes.ts`. So the two agree by construction, and tests see that they do.
 *
 * **Too much for one session.** Heavy users (`heavy.ts`) have copies of their own instead of patterns, except of what is crowded
 * (`crowds.ts`), so that one user's patterns and one event's copies stay bounded. Between two bounds it depends on the past
 * who has passed such a threshold (`threshold.ts`), and both answers are safe (`outdated.ts`).
 *
 * **Deltas.** `delta-plan.ts` reads off which edges change; a walk backwards from their tails, before they change, finds the users
 * concerned (`affected.ts`); their closures are kept as the "before", computed again, and compared (`delta.ts`, `effect.ts`).
 * A share given or taken back is a shortcut: one seed more or less in each closure (`shares.ts`). Links of unknown names are
 * followed only for the users to whom they matter (`level-zero.ts`). `test/core/graph/delta/work.test.ts` counts what each kind of change costs.
 *
 * **Costs** (N = nodes, d = owners above an object, about 6; s = seeds of a user; R = audience roles of a user, few; A = all audience roles;
 * H = heavy users).
 * Measured by `npm run bench:graph` at N = 1M, 2,000 users, 20,000 links, two cores.
 *
 * | what | cost | measured |
 * |---|---|---|
 * | memory | about 170 B a node, its string included; 30 B a seed of each user asked about | 170 MiB |
 * | build | O(N) | 2 s |
 * | check | O(d * R) look-ups, two or three uuids to find | 0.7 us |
 * | closure of a user | O(s + links of its roles) | 10 us to 2 ms |
 * | grants | O(s * d + s log s) | 5 ms with 2,000 shared subtrees |
 * | share given or taken | O(users who reach its tail) | 0.02 ms for a leaf, 0.5 ms for a role of 500 |
 * | any other delta | O(closures of the users concerned), a move also O(groups below) | 0.05 ms for a user who joins a role |
 * | route | O((A + H) * d) | |
 */
export class PermissionGraph implements PermissionEngine {
  readonly #state: GraphState;
  readonly #rule: ReadRule;
  readonly #routes: Routes;
  #overlong = 0;
  #version = 0;

  constructor(options: GraphOptions) {
    this.#state = new GraphState(options);
    const { topology, rights } = this.#state;
    this.#rule = new ReadRule(topology, rights, options.roleGroupsVisibleToAll);
    this.#routes = new Routes(this.#state, this.#rule);
  }

  /**
   * Adds rows without finding the users that they concern, as at start. Cheaper than `apply`, but afterwards the rights of every
   * session must be asked for again.
   */
  load(changes: Iterable<PermissionChange>): void {
    this.#version++;
    const { audiences, crowds, topology } = this.#state;
    for (const change of changes) this.#state.set(change);
    for (const node of crowds.recount([...topology.links.heads(), ...crowds.possible])) crowds.turn(node);
    for (const role of audiences.recount(audiences.allKnown()).turned) audiences.turn(role);
    this.#state.forgetAll();
    this.#state.sweep();
  }

  apply(changes: readonly PermissionChange[]): Effect {
    if (changes.length > 0) this.#version++;
    return applyDelta(this.#state, planOf(this.#state.topology, changes));
  }

  check(user: string, object: ObjectFacts, now: number): boolean {
    return this.#rule.check(this.#state.topology.nodes.find(user), object, now);
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

  /** Where the last event about an object goes at the owner that it has left: that owner's path, and no copies for roles. */
  routeLeft(object: ObjectFacts, oldOwner: string, now: number): string[] {
    return this.#routable(this.#routes.ofLeaving(object, oldOwner, now));
  }

  /** Where an event about a user goes that is for those who may read what the user owns directly. */
  routeOwned(user: string): string[] {
    return this.#routable(this.#routes.ofOwned(user));
  }

  explain(user: string, object: ObjectFacts, now: number): Explanation {
    return new Explainer(this.#state.topology, this.#rule).explain(user, object, now);
  }

  /** Is there a user of this uuid, who was not merged into another? */
  isUser(user: string): boolean {
    const { topology } = this.#state;
    const node = topology.nodes.find(user);
    return node >= 0 && topology.isAccount(node);
  }

  /** Is there an active user of this uuid? */
  isActive(user: string): boolean {
    const { topology } = this.#state;
    return this.isUser(user) && topology.isActive(topology.nodes.find(user));
  }

  /** The owner of an object by its row in the graph, or null where there is none. */
  ownerOf(uuid: string): string | null {
    return this.#rule.ownerInGraph(uuid);
  }

  /** Changes with every change of the graph: what was derived from it may be kept while this is the same. */
  get version(): number {
    return this.#version;
  }

  /** How many events so far had a route that is too long to publish: nobody hears what lies that deep. */
  get overlongRoutes(): number {
    return this.#overlong;
  }

  #routable(all: string[]): string[] {
    const found = routable(all);
    if (found.length < all.length) this.#overlong++;
    return found;
  }
}
