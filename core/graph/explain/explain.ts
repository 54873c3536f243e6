import type { Explanation, ObjectFacts } from "../../graph-types.ts";
import { LevelZero } from "../reach/level-zero.ts";
import { reach } from "../reach/reach.ts";
import type { ObjectNodes, PermissionLink, ReadRule } from "../reach/read-rule.ts";
import type { Topology } from "../store/topology.ts";
import { Chains, type Hop } from "./chains.ts";
import { Refusal } from "./refusal.ts";
import { Sentences, singular } from "./sentences.ts";

/** Why a user may read an object, or what is nearest to being missing. What is decided is decided by the read rule alone. */
export class Explainer {
  readonly #topology: Topology;
  readonly #rule: ReadRule;
  readonly #words: Sentences;

  constructor(topology: Topology, rule: ReadRule) {
    this.#topology = topology;
    this.#rule = rule;
    this.#words = new Sentences(topology);
  }

  explain(uuid: string, object: ObjectFacts, now: number): Explanation {
    const user = this.#topology.nodes.find(uuid);
    const allowed = this.#rule.check(user, object, now);
    const place = this.#rule.placeOf(object);
    const steps = allowed
      ? this.#granted(user, object, place, now)
      : new Refusal(this.#topology, this.#rule, this.#words).steps(uuid, user, object, place, now);
    return { allowed, steps };
  }

  #granted(user: number, object: ObjectFacts, place: ObjectNodes, now: number): string[] {
    const me = this.#words.node(user);
    if (this.#topology.isAdmin(user)) return [`${me} is an admin`, "admins may read everything"];
    switch (object.resource) {
      case "users":
        return place.node === user ? ["everybody may read their own record"] : this.#chain(user, object, place);
      case "groups":
        return this.#chainOr(user, object, place, [`${me} is active`, "every active user sees the records of roles"]);
      case "containers":
        return this.#ofContainer(user, object, place, now);
      case "api_client_authorizations":
        return [`it is a token of ${me}`];
      case "links": {
        const link = this.#rule.permissionLink(object);
        if (link !== null) return this.#ofPermissionLink(user, link);
      }
    }
    return this.#chain(user, object, place);
  }

  #chain(user: number, object: ObjectFacts, place: ObjectNodes): string[] {
    return this.#chainOr(user, object, place, []);
  }

  /** The user's own chain, or that of a user it manages, or else `otherwise`. */
  #chainOr(user: number, object: ObjectFacts, place: ObjectNodes, otherwise: string[]): string[] {
    const own = new Chains(this.#topology, user, 1);
    const hops = this.#to(own, object, place);
    if (hops !== null) return [...this.#words.hops(hops), ...this.#owns(object, place, hops)];
    for (const managed of new LevelZero(this.#topology).managed(user)) {
      const way = own.toManaged(managed) ?? new Chains(this.#topology, user, 0).toManaged(managed);
      const on = this.#to(new Chains(this.#topology, managed, 1), object, place);
      if (way === null || on === null || !this.#topology.users.has(managed)) continue;
      const whose = this.#words.node(managed);
      return [
        ...this.#words.hops(way),
        `so ${this.#words.node(user)} reads whatever ${whose} reads`,
        ...this.#words.hops(on),
        ...this.#owns(object, place, on),
      ];
    }
    return otherwise;
  }

  /** The hops to an object, or to its owner where that is how it is reached. */
  #to(chains: Chains, object: ObjectFacts, { node, owner }: ObjectNodes): Hop[] | null {
    const direct = node < 0 ? null : chains.to(node);
    if (direct !== null || object.resource === "groups") return direct;
    if (owner < 0) return null;
    return this.#topology.nodes.isUser(owner) && owner !== chains.start ? chains.toManaged(owner) : chains.to(owner);
  }

  /** The last sentence, where the hops end at the owner. */
  #owns(object: ObjectFacts, { node, owner }: ObjectNodes, hops: readonly Hop[]): string[] {
    const last = hops.at(-1);
    const end = last === undefined ? -1 : last.by === "link" ? last.edge.head : last.node;
    if (end === node && node >= 0) return [];
    return owner < 0 ? [] : [`${this.#words.node(owner)} owns this ${singular(object.resource)}`];
  }

  #ofContainer(user: number, object: ObjectFacts, place: ObjectNodes, now: number): string[] {
    const { nodes, ownership } = this.#topology;
    for (const request of this.#rule.requestsShowing(place.node, now)) {
      const facts: ObjectFacts = {
        uuid: nodes.uuid(request),
        resource: "container_requests",
        owner: ownership.owner(request) < 0 ? null : nodes.uuid(ownership.owner(request)),
      };
      const steps = this.#chain(user, facts, { node: request, owner: ownership.owner(request) });
      if (steps.length > 0) return [...steps, `container request ${facts.uuid} shows container ${object.uuid}`];
    }
    return [];
  }

  #ofPermissionLink(user: number, link: PermissionLink): string[] {
    const me = this.#topology.nodes.uuid(user);
    if (link.tail === me) return [`the link gives something to user ${me}`];
    if (link.head === me) return [`the link gives something on user ${me}`];
    const { nodes } = this.#topology;
    const managing = new Chains(this.#topology, user, 3);
    const head = nodes.find(link.head);
    const owner = link.headOwner === null ? -1 : nodes.find(link.headOwner);
    const managed = [...managedByLevel3(this.#topology, user)];
    for (const chains of [managing, ...managed.map((one) => new Chains(this.#topology, one, 3))]) {
      const onHead = head < 0 ? null : chains.to(head);
      const onOwner =
        owner < 0 ? null : nodes.isUser(owner) && owner !== chains.start ? chains.toManaged(owner) : chains.to(owner);
      const hops = onHead ?? onOwner;
      if (hops === null) continue;
      const way = chains === managing ? [] : (managing.toManaged(chains.start) ?? []);
      const last = onHead === null ? [`${this.#words.node(owner)} owns ${this.#words.uuid(link.head)}`] : [];
      return [
        ...this.#words.hops([...way, ...hops]),
        ...last,
        "whoever manages the head of a permission link may read the link",
      ];
    }
    return [];
  }
}

/** The users managed at level 3, for permission links (UU with L = 3). */
function managedByLevel3(topology: Topology, user: number): Set<number> {
  return reach(topology, user, 3, null).managed;
}
