import { type Resource, resourceOf } from "../../uuid.ts";
import type { Topology } from "../store/topology.ts";
import type { Hop } from "./chains.ts";

/** Sentences about nodes and hops, for people. Names are not in the graph, so things go by kind and uuid. */
export class Sentences {
  readonly #topology: Topology;

  constructor(topology: Topology) {
    this.#topology = topology;
  }

  /** `project zzzzz-j7d0g-...` */
  node(node: number): string {
    const { nodes } = this.#topology;
    const uuid = nodes.uuid(node);
    if (nodes.isUser(node)) return `user ${uuid}`;
    return nodes.isGroup(node) ? `${this.#topology.groupWord(node)} ${uuid}` : objectWords(uuid);
  }

  /** The same for a uuid that the graph need not know. */
  uuid(uuid: string): string {
    const node = this.#topology.nodes.find(uuid);
    return node < 0 ? objectWords(uuid) : this.node(node);
  }

  hop(hop: Hop): string {
    if (hop.by === "ownership") return `${this.node(hop.owner)} owns ${this.node(hop.node)}`;
    const { uuid, name, tail, head } = hop.edge;
    const { nodes } = this.#topology;
    const by = `by link ${uuid} (${name || "no name"})`;
    if (nodes.isUser(tail) && nodes.isGroup(head) && this.#topology.groupWord(head) === "role") {
      return `${this.node(tail)} is in ${this.node(head)} ${by}`;
    }
    return `${this.node(tail)} may ${verb(name)} ${this.node(head)} ${by}`;
  }

  hops(hops: readonly Hop[]): string[] {
    return hops.map((hop) => this.hop(hop));
  }
}

function verb(name: string): string {
  if (name === "can_read") return "read";
  if (name === "can_login") return "log in to";
  if (name === "can_write") return "write";
  return name === "can_manage" ? "manage" : "do nothing with";
}

/** `container request zzzzz-xvhdp-...` */
function objectWords(uuid: string): string {
  const resource = resourceOf(uuid);
  return resource === null ? uuid : `${singular(resource)} ${uuid}`;
}

export function singular(resource: Resource): string {
  if (resource === "api_client_authorizations") return "token";
  return resource.replaceAll("_", " ").replace(/s$/, "");
}
