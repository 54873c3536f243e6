import { type Closure, holdsGroup, holdsObject, holdsOwned, holdsUser } from "./closure.ts";
import { climb } from "./reach.ts";
import type { Rights, RightsCache } from "./rights.ts";
import type { Topology } from "./topology.ts";
import type { ObjectFacts } from "./types.ts";

/** Whom the trash rule lets see an object, before anybody's permissions are asked (facts 3.3, excluded_trash). */
export type Visibility = "all" | "admins" | "nobody";

/** Kinds whose reading honours include_trash: trash hides them only inside frozen projects, and never from admins. */
const INCLUDE_TRASH = new Set<string>(["groups", "collections", "container_requests"]);

/** A permission link as its reading needs it. */
export type PermissionLink = { tail: string; head: string; headOwner: string | null };

/** Arvados' read rule (facts 3.3, as the vectors' README spells it out) over the closures of `rights.ts`. */
export class ReadRule {
  readonly #topology: Topology;
  readonly #rights: RightsCache;
  readonly #roleGroupsVisibleToAll: boolean;

  constructor(topology: Topology, rights: RightsCache, roleGroupsVisibleToAll: boolean) {
    this.#topology = topology;
    this.#rights = rights;
    this.#roleGroupsVisibleToAll = roleGroupsVisibleToAll;
  }

  check(user: number, object: ObjectFacts, now: number): boolean {
    const topology = this.#topology;
    if (user < 0 || !topology.isAccount(user)) return false;
    const visibility = this.visibility(object, now);
    if (visibility === "nobody") return false;
    if (topology.isAdmin(user)) return true;
    if (visibility === "admins") return false;
    const me = topology.nodes.uuid(user);
    switch (object.resource) {
      case "users": {
        if (object.uuid === me) return true;
        const node = topology.nodes.find(object.uuid);
        return node >= 0 && topology.isActive(node) && this.reads(this.#rights.of(user, 1), object);
      }
      case "groups":
        return (
          (this.isVisibleRole(object.uuid) && topology.isActive(user)) || this.reads(this.#rights.of(user, 1), object)
        );
      case "containers":
        return this.requestsShowing(object.uuid, now).some((request) =>
          this.#holdsRequest(this.#rights.of(user, 1), request),
        );
      case "api_client_authorizations":
        return object.tokenUser === me;
      case "logs":
        return false;
      case "links": {
        const link = this.permissionLink(object);
        if (link === null) return this.reads(this.#rights.of(user, 1), object);
        return link.tail === me || link.head === me || this.manages(this.#rights.of(user, 3), link);
      }
      default:
        return this.reads(this.#rights.of(user, 1), object);
    }
  }

  visibility(object: ObjectFacts, now: number): Visibility {
    const { nodes } = this.#topology;
    switch (object.resource) {
      case "containers":
      case "api_client_authorizations":
        return "all";
      case "logs":
        return "admins";
      case "links":
        if (this.permissionLink(object) !== null) return "all";
        break;
      case "users": {
        const node = nodes.find(object.uuid);
        if (node >= 0 && this.#topology.hasRow(node) && !this.#topology.isAccount(node)) return "nobody";
        break;
      }
    }
    const owner = nodes.find(this.ownerOf(object) ?? "");
    const inTrash = this.#isTrashed(owner, now);
    if (!INCLUDE_TRASH.has(object.resource)) return inTrash ? "nobody" : "all";
    const trashed = inTrash || (object.resource !== "container_requests" && this.#ownTrash(object, now));
    return trashed && this.#isFrozen(owner) ? "admins" : "all";
  }

  /** Groups and users live where their row in the graph says; other objects where the asker saw them. */
  ownerOf(object: ObjectFacts): string | null {
    if (object.resource === "groups" || object.resource === "users") {
      const node = this.#topology.nodes.find(object.uuid);
      if (node >= 0 && this.#topology.hasRow(node)) {
        const owner = this.#topology.ownership.owner(node);
        return owner < 0 ? null : this.#topology.nodes.uuid(owner);
      }
    }
    return object.owner;
  }

  /** Does one of these closures bring the object? For users, groups and what is judged by owner and own links alone. */
  reads(rights: Rights, object: ObjectFacts): boolean {
    const { nodes } = this.#topology;
    const node = nodes.find(object.uuid);
    if (object.resource === "groups") return rights.some((one) => holdsGroup(this.#topology, one, node));
    if (object.resource === "users") return rights.some((one) => holdsUser(this.#topology, one, node));
    const owner = object.owner ? nodes.find(object.owner) : -1;
    return rights.some((one) => holdsObject(this.#topology, one, node, owner));
  }

  /** Is the owner in `deletable_seen`: would its deletions be shown (vectors' README)? */
  readsOwned(rights: Rights, owner: string): boolean {
    const node = this.#topology.nodes.find(owner);
    return rights.some((one) => holdsOwned(this.#topology, one, node));
  }

  /** Is the link's head managed: level 3 on the head, or level 3 with traverse_owned on its owner? `rights` of level 3. */
  manages(rights: Rights, link: PermissionLink): boolean {
    const { nodes } = this.#topology;
    const head = nodes.find(link.head);
    const owner = link.headOwner === null ? -1 : nodes.find(link.headOwner);
    const holds = (one: Closure): boolean => {
      if (head >= 0 && nodes.isGroup(head) && holdsGroup(this.#topology, one, head)) return true;
      if (head >= 0 && nodes.isUser(head) && holdsUser(this.#topology, one, head)) return true;
      return holdsObject(this.#topology, one, head, owner);
    };
    return rights.some(holds);
  }

  /** The object as a permission link, or null where it is another link, or none. */
  permissionLink(object: ObjectFacts): PermissionLink | null {
    if (object.resource !== "links") return null;
    const { links, nodes } = this.#topology;
    const edge = links.get(object.uuid);
    if (object.link ? object.link.linkClass !== "permission" : edge === undefined) return null;
    const tail = object.link?.tail ?? nodes.uuid((edge as NonNullable<typeof edge>).tail);
    const head = object.link?.head ?? nodes.uuid((edge as NonNullable<typeof edge>).head);
    return { tail, head, headOwner: this.ownerInGraph(head) ?? object.link?.headOwner ?? null };
  }

  /** The owner of an object by the graph's own rows. */
  ownerInGraph(uuid: string): string | null {
    const node = this.#topology.nodes.find(uuid);
    const owner = node < 0 ? -1 : this.#topology.ownership.owner(node);
    return owner < 0 ? null : this.#topology.nodes.uuid(owner);
  }

  isVisibleRole(group: string): boolean {
    const node = this.#topology.nodes.find(group);
    return this.#roleGroupsVisibleToAll && node >= 0 && this.#topology.isRole(node);
  }

  /** The requests through which a container may be read: those not trashed under the plain rule (V10b). */
  requestsShowing(container: string, now: number): number[] {
    const node = this.#topology.nodes.find(container);
    if (node < 0) return [];
    return this.#topology
      .requestsOf(node)
      .filter((request) => !this.#isTrashed(this.#topology.ownership.owner(request), now));
  }

  #holdsRequest(rights: Rights, request: number): boolean {
    const owner = this.#topology.ownership.owner(request);
    return rights.some((one) => holdsObject(this.#topology, one, request, owner));
  }

  #ownTrash(object: ObjectFacts, now: number): boolean {
    const node = this.#topology.nodes.find(object.uuid);
    const known = object.resource === "groups" && node >= 0 && this.#topology.hasRow(node);
    const at = known ? this.#topology.trashAt(node) : object.trashAt;
    return at !== null && at !== undefined && at <= now;
  }

  /** Is the group, or one above it, in the trash by now? */
  #isTrashed(group: number, now: number): boolean {
    return this.#anyAbove(group, (at) => (this.#topology.trashAt(at) ?? Number.POSITIVE_INFINITY) <= now);
  }

  #isFrozen(group: number): boolean {
    return this.#anyAbove(group, (at) => this.#topology.isFrozen(at));
  }

  #anyAbove(group: number, test: (group: number) => boolean): boolean {
    return climb(this.#topology, group, test, () => false);
  }
}
