import type { Impact, ImpactOn } from "../../graph-types.ts";
import type { GraphRows, PermissionChange } from "../../rows.ts";
import { commit, type EffectObserver } from "../delta/commit.ts";
import type { Right } from "../delta/effect.ts";
import { planOf } from "../delta/plan.ts";
import type { GraphState } from "../delta/state.ts";
import { type Closure, EMPTY, type RightLevel } from "../reach/closure.ts";
import type { Topology } from "../store/topology.ts";
import { Sentences } from "./words.ts";

/**
 * Who would lose or gain what if these rows changed. The delta is applied, watched and taken back, so the answer is what
 * `apply` would do and the graph is afterwards as it was; the price is that of two deltas.
 */
export function impactOf(state: GraphState, changes: readonly PermissionChange[]): Impact {
  const plan = planOf(state.topology, changes);
  const back = plan.changes.map((change) => standing(state.topology, change));
  const saved = state.save();
  const observer = new Observer(state);
  commit(state, plan, observer);
  commit(state, planOf(state.topology, back));
  // What is near a threshold may have crossed it and not come back.
  state.restore(saved);
  return observer.impact();
}

class Observer implements EffectObserver {
  readonly #state: GraphState;
  readonly #words: Sentences;
  readonly #loses = new Map<string, ImpactOn>();
  readonly #gains = new Map<string, ImpactOn>();

  constructor(state: GraphState) {
    this.#state = state;
    this.#words = new Sentences(state.topology);
  }

  user(uuid: string, { lost, gained }: { lost: readonly Right[]; gained: readonly Right[] }): void {
    this.#note(this.#loses, uuid, lost);
    this.#note(this.#gains, uuid, gained);
  }

  role(role: number, before: readonly Closure[], after: readonly Closure[]): void {
    const who = this.#state.topology.nodes.uuid(role);
    // A user managed by many is an audience of these, and somebody with rights as well: two entries.
    const members = this.#state.audiences.members(role);
    const lost = before.flatMap((closure, i) => this.#missing(closure, after[i] ?? EMPTY, i));
    const gained = after.flatMap((closure, i) => this.#missing(closure, before[i] ?? EMPTY, i));
    if (lost.length > 0) this.#loses.set(`@${who}`, { who, members, what: unique(this.#sentences(lost)) });
    if (gained.length > 0) this.#gains.set(`@${who}`, { who, members, what: unique(this.#sentences(gained)) });
  }

  impact(): Impact {
    const byName = (a: ImpactOn, b: ImpactOn) => (a.who < b.who ? -1 : 1);
    return { loses: [...this.#loses.values()].sort(byName), gains: [...this.#gains.values()].sort(byName) };
  }

  #note(of: Map<string, ImpactOn>, who: string, rights: readonly Right[]): void {
    if (rights.length === 0) return;
    const known = of.get(who)?.what ?? [];
    of.set(who, { who, members: null, what: unique([...known, ...this.#sentences(rights)]) });
  }

  /** What one closure of a role has and another lacks. `at`: its place among reading, managing and their `managed` twins. */
  #missing(has: Closure, lacks: Closure, at: number): Right[] {
    const level: RightLevel = at % 2 === 0 ? 1 : 3;
    const rights: Right[] = [];
    for (const node of has.seeds) if (!lacks.seeds.has(node)) rights.push({ kind: "share", level, node });
    for (const node of has.own) if (!lacks.own.has(node)) rights.push({ kind: "own", level, node });
    for (const node of has.direct) if (!lacks.direct.has(node)) rights.push({ kind: "direct", level, node });
    return rights;
  }

  #sentences(rights: readonly Right[]): string[] {
    return rights.map((right) => this.#sentence(right));
  }

  #sentence({ kind, level, node }: Right): string {
    const verb = level === 3 ? "manage" : "read";
    if (kind === "roles") return "see the records of roles";
    if (kind === "everything") return "read everything, as an admin";
    if (kind === "account") return "log in";
    const what = this.#words.node(node);
    const { nodes } = this.#state.topology;
    switch (kind) {
      case "own":
        return `${verb} whatever ${what} may ${verb}`;
      case "direct":
        return `${verb} what ${what} owns outside projects`;
      case "membership":
        return `${verb} as a member of ${what}`;
      case "records":
        return `read the records of the users that ${what} has links to`;
      case "share":
        if (nodes.isUser(node)) return `read the record of ${what}`;
        return nodes.isGroup(node) ? `${verb} ${what} and all below it` : `${verb} ${what}`;
    }
  }
}

function unique(sentences: string[]): string[] {
  return [...new Set(sentences)].sort();
}

/** A row as the graph holds it, enough to put it back. */
function standing(topology: Topology, { kind, uuid }: PermissionChange): PermissionChange {
  const { nodes, ownership, links } = topology;
  const node = nodes.find(uuid);
  const ownerOf = (owner: number) => (owner < 0 ? "" : nodes.uuid(owner));
  switch (kind) {
    case "link": {
      const edge = links.get(uuid);
      const row: GraphRows["link"] | null = edge
        ? { id: 0, uuid, name: edge.name, tail_uuid: nodes.uuid(edge.tail), head_uuid: nodes.uuid(edge.head) }
        : null;
      return { kind, uuid, row };
    }
    case "user":
      return { kind, uuid, row: topology.hasRow(node) ? topology.userRow(node, ownerOf(ownership.owner(node))) : null };
    case "group":
      return {
        kind,
        uuid,
        row: topology.hasRow(node) ? topology.groupRow(node, ownerOf(ownership.owner(node))) : null,
      };
    case "owner": {
      const owner = topology.ownerRow(node);
      return { kind, uuid, row: owner === null ? null : { id: 0, uuid, owner_uuid: ownerOf(owner) } };
    }
    case "cr": {
      const owner = topology.requestOwner(node);
      if (owner === null) return { kind, uuid, row: null };
      const container = topology.requests.containerOf(node);
      const container_uuid = container < 0 ? null : nodes.uuid(container);
      return { kind, uuid, row: { id: 0, uuid, owner_uuid: ownerOf(owner), container_uuid } };
    }
  }
}
