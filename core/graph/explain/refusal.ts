import type { ObjectFacts } from "../../graph-types.ts";
import type { ObjectNodes, ReadRule } from "../reach/read-rule.ts";
import type { PermissionEdge } from "../store/permission-links.ts";
import type { Topology } from "../store/topology.ts";
import { Chains } from "./chains.ts";
import { type Sentences, singular } from "./sentences.ts";

/** Why a user may not read an object: where the object lives, and what is nearest to leading there. */
export class Refusal {
  readonly #topology: Topology;
  readonly #rule: ReadRule;
  readonly #words: Sentences;

  constructor(topology: Topology, rule: ReadRule, words: Sentences) {
    this.#topology = topology;
    this.#rule = rule;
    this.#words = words;
  }

  steps(uuid: string, user: number, object: ObjectFacts, place: ObjectNodes, now: number): string[] {
    if (user < 0 || !this.#topology.hasRow(user)) return [`there is no user ${uuid}`];
    if (!this.#topology.isAccount(user)) return [`user ${uuid} was merged into another account`];
    const hidden = this.#hidden(object, place, now);
    if (hidden !== null) return [hidden];
    const me = this.#words.node(user);
    switch (object.resource) {
      case "users":
        if (place.node < 0 || !this.#topology.isActive(place.node)) {
          return [`user ${object.uuid} is not active, so only that user and admins see the record`];
        }
        break;
      case "api_client_authorizations":
        return ["tokens are for the user they belong to"];
      case "logs":
        return ["log rows are not handed out"];
      case "containers":
        return this.#ofContainer(user, object, place, now);
      case "groups":
        if (this.#rule.isVisibleRole(place.node)) {
          return [`${me} is not active, so the records of roles are not shown`, ...this.#missing(user, object, place)];
        }
        break;
      case "links": {
        const link = this.#rule.permissionLink(object);
        if (link === null) break;
        const words = `a permission link is read by whom it is from, whom it is to, and whoever manages its head`;
        return [words, `${me} is neither, and does not manage ${this.#words.uuid(link.head)} or its owner`];
      }
    }
    return this.#missing(user, object, place);
  }

  #hidden(object: ObjectFacts, place: ObjectNodes, now: number): string | null {
    const kind = singular(object.resource);
    switch (this.#rule.visibility(object, place, now)) {
      case "nobody":
        if (object.resource === "users" && this.#topology.hasRow(place.node) && !this.#topology.isAccount(place.node)) {
          return `user ${object.uuid} was merged into another account, so Arvados shows the record to nobody`;
        }
        return `${this.#words.node(place.owner)} is in the trash, and a ${kind} in the trash is hidden from everybody`;
      case "admins":
        if (object.resource === "logs") return "log rows are for admins";
        return `the ${kind} is in the trash inside a frozen project, so only admins see it`;
      case "all":
        return null;
    }
  }

  #ofContainer(user: number, object: ObjectFacts, place: ObjectNodes, now: number): string[] {
    const { nodes, ownership } = this.#topology;
    if (place.node < 0) return [`no container request shows container ${object.uuid}, so it is for admins`];
    const showing = this.#rule.requestsShowing(place.node, now);
    const all = this.#topology.requests.of(place.node);
    const [first] = showing;
    if (first === undefined) {
      return [
        all.length === 0
          ? `no container request shows container ${object.uuid}, so it is for admins`
          : `every container request that shows container ${object.uuid} is in the trash`,
      ];
    }
    const owner = ownership.owner(first);
    const facts: ObjectFacts = {
      uuid: nodes.uuid(first),
      resource: "container_requests",
      owner: owner < 0 ? null : nodes.uuid(owner),
    };
    const others = showing.length > 1 ? ` (and ${showing.length - 1} more)` : "";
    return [
      `a container is read through the requests that show it: ${facts.uuid}${others}`,
      ...this.#missing(user, facts, { node: first, owner }),
    ];
  }

  /** Where it lives, then the nearest near miss. */
  #missing(user: number, object: ObjectFacts, place: ObjectNodes): string[] {
    const above = this.#above(object, place);
    const owners = above.map((node) => this.#words.node(node));
    const lives =
      owners.length === 0
        ? `nobody known owns this ${singular(object.resource)}`
        : `this ${singular(object.resource)} belongs to ${owners.join(", which belongs to ")}`;
    return [lives, ...this.#nearMiss(user, [...(place.node < 0 ? [] : [place.node]), ...above])];
  }

  /** The owners from the nearest up to the user at the top. */
  #above(object: ObjectFacts, { node, owner }: ObjectNodes): number[] {
    const { nodes, ownership } = this.#topology;
    const above: number[] = [];
    const from = object.resource === "groups" && node >= 0 ? ownership.owner(node) : owner;
    for (let at = from; at >= 0 && !above.includes(at); at = ownership.owner(at)) {
      above.push(at);
      if (!nodes.isGroup(at)) break;
    }
    return above;
  }

  #nearMiss(user: number, nodes: number[]): string[] {
    const me = this.#words.node(user);
    const chains = new Chains(this.#topology, user, 1);
    const ownWay = (edge: PermissionEdge, but: string): string[] => [
      ...this.#words.hops(chains.to(edge.tail) ?? []),
      `${this.#words.hop({ by: "link", edge })}, ${but}`,
    ];
    for (const node of nodes) {
      const edges = this.#topology.in(node);
      const reached = edges.filter((edge) => chains.to(edge.tail) !== null && this.#handsOn(edge.tail, user));
      const idle = reached.find((edge) => edge.level === 0);
      if (idle) return ownWay(idle, "but a link of that name gives nothing");
      if (this.#topology.nodes.isUser(node)) {
        const record = reached.find((edge) => edge.level < 3);
        if (record) return ownWay(record, "which gives the user's record; only can_manage gives what the user owns");
        if (chains.toManaged(node) === null && this.#managedTwice(chains, node)) {
          return [`${me} manages a user who manages ${this.#words.node(node)}: one step too far for projects`];
        }
      }
      const role = edges.find((edge) => this.#wouldDo(edge, node));
      if (role) {
        return [`${this.#words.hop({ by: "link", edge: role })}, but ${me} is not in ${this.#words.node(role.tail)}`];
      }
    }
    return [`no permission link leads from ${me}, or a role that ${me} is in, to any of these`];
  }

  /** Users hand on nothing to others by being readable. */
  #handsOn(tail: number, user: number): boolean {
    return tail === user || this.#topology.nodes.isGroup(tail);
  }

  /** A link from a role that would have given it. */
  #wouldDo(edge: PermissionEdge, head: number): boolean {
    const needed = this.#topology.nodes.isUser(head) ? 3 : 1;
    return edge.level >= needed && this.#topology.roles.has(edge.tail);
  }

  #managedTwice(chains: Chains, user: number): boolean {
    return this.#topology
      .in(user)
      .some(
        (edge) => edge.level >= 3 && this.#topology.nodes.isUser(edge.tail) && chains.toManaged(edge.tail) !== null,
      );
  }
}
