import type { ObjectFacts } from "../../graph-types.ts";
import type { Topology } from "../store/topology.ts";
import type { ClosureCache, Closures } from "./closures.ts";
import { holdsGroup, holdsObject, holdsOwned, holdsUser } from "./holds.ts";

/** Whom the trash rule lets see an object, before anybody's permissions are asked (docs/arvados-permissions.md 3.3, excluded_trash). */
export type Visibility = "all" | "admins" | "nobody";

/** Kinds whose reading honours include_trash: trash hides them only inside frozen projects, and never from admins. */
const INCLUDE_TRASH = new Set<string>(["groups", "collections", "container_requests"]);

/** An object and its owner as nodes; -1 where the graph does not know them, or knows nothing of an object that matters. */
export type ObjectNodes = { readonly node: number; readonly owner: number };

/** A permission link as its reading needs it. */
export type PermissionLink = { tail: string; head: string; headOwner: string | null };

/** Arvados' read rule (docs/arvados-permissions.md 3.3, as the vectors' README spells it out) over the closures of `closures.ts`. */
export class ReadRule {
  readonly #topology: Topology;
  readonly #rights: ClosureCache;
  readonly #roleGroupsVisibleToAll: boolean;

  constructor(topology: Topology, rights: ClosureCache, roleGroupsVisibleToAll: boolean) {
    this.#topology = topology;
    this.#rights = rights;
    this.#roleGroupsVisibleToAll = roleGroupsVisibleToAll;
  }

  check(user: number, object: ObjectFacts, now: number): boolean {
    const topology = this.#topology;
    if (user < 0 || !topology.isAccount(user)) return false;
    const place = this.placeOf(object);
    const visibility = this.visibility(object, place, now);
    if (visibility === "nobody") return false;
    if (topology.isAdmin(user)) return true;
    if (visibility === "admins") return false;
    switch (object.resource) {
      case "users":
        if (place.node === user) return true;
        return place.node >= 0 && topology.isActive(place.node) && this.#readsAs(user, object, place);
      case "groups":
        return (this.isVisibleRole(place.node) && topology.isActive(user)) || this.#readsAs(user, object, place);
      case "containers": {
        const rights = this.#rights.of(user, 1);
        return this.requestsShowing(place.node, now).some((request) =>
          holdsObject(topology, rights, request, topology.ownership.owner(request)),
        );
      }
      case "api_client_authorizations":
        return object.tokenUser === topology.nodes.uuid(user);
      case "links": {
        const link = this.permissionLink(object);
        if (link === null) return this.#readsAs(user, object, place);
        const me = topology.nodes.uuid(user);
        return link.tail === me || link.head === me || this.manages(this.#rights.of(user, 3), link);
      }
      case "logs":
        return false;
      default:
        return this.#readsAs(user, object, place);
    }
  }

  visibility(object: ObjectFacts, place: ObjectNodes, now: number): Visibility {
    const topology = this.#topology;
    switch (object.resource) {
      case "containers":
      case "api_client_authorizations":
        return "all";
      case "logs":
        return "admins";
      case "links":
        if (this.permissionLink(object) !== null) return "all";
        break;
      case "users":
        // Merged into another account: Arvados hides such a row everywhere.
        if (topology.hasRow(place.node) && !topology.isAccount(place.node)) return "nobody";
        break;
    }
    const inTrash = topology.isTrashed(place.owner, now);
    if (!INCLUDE_TRASH.has(object.resource)) return inTrash ? "nobody" : "all";
    const trashed = inTrash || this.#ownTrash(object, place, now);
    return trashed && topology.isFrozenBelow(place.owner) ? "admins" : "all";
  }

  /** Groups and users live where their row in the graph says; other objects where the asker saw them. */
  placeOf(object: ObjectFacts): ObjectNodes {
    const { nodes, ownership } = this.#topology;
    const { resource } = object;
    const principal = resource === "groups" || resource === "users";
    const node =
      principal || resource === "containers" ? nodes.find(object.uuid) : this.#topology.findShared(object.uuid);
    const byRow = principal && this.#topology.hasRow(node);
    return { node, owner: byRow ? ownership.owner(node) : object.owner ? nodes.find(object.owner) : -1 };
  }

  /** Does one of these closures bring the object? For users, groups and what is judged by owner and own links alone. */
  reads(rights: Closures, object: ObjectFacts, place: ObjectNodes): boolean {
    if (object.resource === "groups") return holdsGroup(this.#topology, rights, place.node);
    if (object.resource === "users") return holdsUser(this.#topology, rights, place.node);
    return holdsObject(this.#topology, rights, place.node, place.owner);
  }

  #readsAs(user: number, object: ObjectFacts, place: ObjectNodes): boolean {
    return this.reads(this.#rights.of(user, 1), object, place);
  }

  /** Is the owner in `deletable_seen`: would its deletions be shown (vectors' README)? */
  readsOwned(rights: Closures, owner: string): boolean {
    const node = this.#topology.nodes.find(owner);
    return holdsOwned(this.#topology, rights, node);
  }

  /** Is the link's head managed: level 3 on the head, or level 3 with traverse_owned on its owner? `rights` of level 3. */
  manages(rights: Closures, link: PermissionLink): boolean {
    const { nodes } = this.#topology;
    const head = nodes.find(link.head);
    const owner = link.headOwner === null ? -1 : nodes.find(link.headOwner);
    if (head >= 0 && nodes.isGroup(head) && holdsGroup(this.#topology, rights, head)) return true;
    if (head >= 0 && nodes.isUser(head) && holdsUser(this.#topology, rights, head)) return true;
    return holdsObject(this.#topology, rights, head, owner);
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

  isVisibleRole(group: number): boolean {
    return this.#roleGroupsVisibleToAll && group >= 0 && this.#topology.isRole(group);
  }

  /** The requests through which a container may be read: those not trashed under the plain rule (V10b). */
  requestsShowing(container: number, now: number): number[] {
    if (container < 0) return [];
    const { ownership } = this.#topology;
    return this.#topology.requests
      .of(container)
      .filter((request) => !this.#topology.isTrashed(ownership.owner(request), now));
  }

  /** The row's own trash_at; of a group as its row in the graph has it. */
  #ownTrash(object: ObjectFacts, place: ObjectNodes, now: number): boolean {
    if (object.resource === "container_requests") return false;
    const byRow = object.resource === "groups" && this.#topology.hasRow(place.node);
    const at = byRow ? this.#topology.trashAt(place.node) : object.trashAt;
    return at !== null && at !== undefined && at <= now;
  }
}
