import type { ObjectFacts } from "../../graph-types.ts";
import { MAX_ROUTE_BYTES, objectName, routeNames } from "../../routes.ts";
import { subjectToken } from "../../subjects.ts";
import { isUserUuid } from "../../uuid.ts";
import type { Audiences } from "../audience/audiences.ts";
import type { Crowds } from "../audience/crowds.ts";
import type { GraphState } from "../delta/graph-state.ts";
import type { RightLevel } from "../reach/closure.ts";
import type { ClosureCache, Closures } from "../reach/closures.ts";
import type { HeavyUsers } from "../reach/heavy.ts";
import { holdsObject } from "../reach/holds.ts";
import type { ObjectNodes, PermissionLink, ReadRule } from "../reach/read-rule.ts";
import { ownerPrefix, ownerPrefixOf } from "../store/owner-path.ts";
import type { Topology } from "../store/topology.ts";

/** Where events about an object are published (docs/subjects.md 2). The counterpart of `reach/grants.ts`: the patterns there must match the routes here. */
export class Routes {
  readonly #topology: Topology;
  readonly #audiences: Audiences;
  readonly #rights: ClosureCache;
  readonly #crowds: Crowds;
  readonly #heavy: HeavyUsers;
  readonly #rule: ReadRule;

  constructor({ topology, audiences, rights, crowds, heavy }: GraphState, rule: ReadRule) {
    this.#topology = topology;
    this.#audiences = audiences;
    this.#rights = rights;
    this.#crowds = crowds;
    this.#heavy = heavy;
    this.#rule = rule;
  }

  /** All routes of an event about the object, whatever their length. */
  of(object: ObjectFacts, now: number): string[] {
    const place = this.#rule.placeOf(object);
    const visibility = this.#rule.visibility(object, place, now);
    if (visibility === "nobody") return [];
    if (visibility === "admins") return [routeNames.admin(object.uuid, object.resource)];
    switch (object.resource) {
      case "users":
        return this.#ofUser(object, place);
      case "containers":
        return this.#ofContainer(object, place, now);
      case "api_client_authorizations":
        return object.tokenUser
          ? [routeNames.user(object.tokenUser, object.uuid, object.resource)]
          : [routeNames.admin(object.uuid, object.resource)];
      case "links": {
        const link = this.#rule.permissionLink(object);
        return link === null ? this.#ofObject(object, place) : this.#ofPermissionLink(object.uuid, link);
      }
      case "groups":
        return this.#ofGroup(object, place);
      default:
        return this.#ofObject(object, place);
    }
  }

  /** All routes of the object's deletion: for those who may read what its owner owns directly. */
  ofDeletion(object: ObjectFacts): string[] {
    const { uuid, resource } = object;
    const owner = object.owner ?? object.tokenUser ?? null;
    if (!owner) return [routeNames.admin(uuid, resource)];
    const prefix = ownerPrefixOf(this.#topology, owner);
    const node = this.#topology.nodes.find(uuid);
    const plain = prefix + objectName(uuid, resource);
    const deleted = routeNames.deleted(prefix, uuid, resource);
    // A grant on the object itself would match the plain route, which is only for those who read what the owner owns.
    const shared = node >= 0 && this.#topology.in(node).length > 0 && resource !== "users";
    const found =
      shared || resource === "containers" || resource === "api_client_authorizations" || resource === "logs"
        ? [deleted]
        : resource === "groups" && isUserUuid(owner)
          ? [plain, deleted]
          : [plain];
    const copied = found[found.length - 1] as string;
    return [...found, ...this.#copies(copied, (rights) => this.#rule.readsOwned(rights, owner))];
  }

  /** The object's own route at the owner that it has left. If trash hid it there, only admins learn that it left. */
  ofLeaving(object: ObjectFacts, oldOwner: string, now: number): string[] {
    const { uuid, resource } = object;
    const place = { node: this.#rule.placeOf(object).node, owner: this.#topology.nodes.find(oldOwner) };
    if (this.#rule.visibility(object, place, now) !== "all") return [routeNames.admin(uuid, resource)];
    const route = ownerPrefixOf(this.#topology, oldOwner) + objectName(uuid, resource);
    // A heavy user would otherwise have had a pattern for the old owner.
    return [route, ...this.#heavyCopies(route, (rights) => this.#rule.readsOwned(rights, oldOwner))];
  }

  /** For those who may read what a user owns directly: an event about the user, which is not the user's record. */
  ofOwned(user: string): string[] {
    const route = ownerPrefixOf(this.#topology, user) + objectName(user, "users");
    return [route, ...this.#copies(route, (rights) => this.#rule.readsOwned(rights, user))];
  }

  #ofObject(object: ObjectFacts, { node, owner }: ObjectNodes): string[] {
    const name = objectName(object.uuid, object.resource);
    const route = ownerPrefixOf(this.#topology, object.owner) + name;
    const found = [route];
    // The object was shared before the graph knew its owner, so that grant names no owner.
    if (node >= 0 && object.owner && this.#topology.in(node).length > 0 && this.#topology.ownership.owner(node) < 0) {
      found.push(name);
    }
    return [...found, ...this.#copies(route, (rights) => this.#rule.reads(rights, object, { node, owner }))];
  }

  #ofGroup(object: ObjectFacts, { node, owner }: ObjectNodes): string[] {
    const route = `${node >= 0 ? ownerPrefix(this.#topology, node) : `${subjectToken(object.uuid)}.`}groups`;
    const found = [route];
    if (this.#rule.isVisibleRole(node)) found.push(routeNames.visibleRole(object.uuid));
    return [...found, ...this.#copies(route, (rights) => this.#rule.reads(rights, object, { node, owner }))];
  }

  #ofUser(object: ObjectFacts, place: ObjectNodes): string[] {
    const { nodes } = this.#topology;
    const { node, owner } = place;
    const self = routeNames.user(object.uuid, object.uuid, "users");
    // An inactive user's record is for the user and for admins, even if others may read the user's projects.
    if (node < 0 || !this.#topology.isActive(node)) return [self];
    const canonical = ownerPrefix(this.#topology, owner) + objectName(object.uuid, "users");
    const found = new Set([canonical, self]);
    for (const edge of this.#topology.in(node)) {
      if (edge.level >= 1) found.add(routeNames.via(nodes.token(edge.tail), object.uuid));
    }
    for (const role of this.#audiences.copied()) {
      const token = nodes.token(role);
      if (this.#rule.reads(this.#rights.ofRole(role, 1), object, place)) found.add(routeNames.via(token, object.uuid));
      else if (this.#rule.reads(this.#rights.ofManaged(role, 1), object, place))
        found.add(routeNames.managed(token, canonical));
    }
    // Many users may read it, each by their own link.
    if (this.#crowds.isPossible(node)) found.add(routeNames.record(object.uuid));
    for (const copy of this.#heavyCopies(canonical, (rights) => this.#rule.reads(rights, object, place)))
      found.add(copy);
    return [...found];
  }

  #ofContainer(object: ObjectFacts, place: ObjectNodes, now: number): string[] {
    const { nodes, ownership } = this.#topology;
    const found: string[] = [];
    for (const request of this.#rule.requestsShowing(place.node, now)) {
      const owner = ownership.owner(request);
      const route = `${ownerPrefix(this.#topology, owner)}${nodes.token(request)}.${objectName(object.uuid, "containers")}`;
      found.push(route);
      found.push(...this.#copies(route, (rights) => holdsObject(this.#topology, rights, request, owner)));
    }
    return found.length > 0 ? found : [routeNames.admin(object.uuid, "containers")];
  }

  #ofPermissionLink(uuid: string, link: PermissionLink): string[] {
    const { nodes, ownership } = this.#topology;
    const found = new Set<string>();
    if (isUserUuid(link.tail)) found.add(routeNames.user(link.tail, uuid, "links"));
    if (isUserUuid(link.head)) found.add(routeNames.user(link.head, uuid, "links"));
    const head = nodes.find(link.head);
    const owner = head < 0 ? -1 : ownership.owner(head);
    if (head >= 0 && nodes.isGroup(head)) found.add(routeNames.manage(ownerPrefix(this.#topology, head), uuid));
    else if (isUserUuid(link.head)) found.add(routeNames.manage(`${subjectToken(link.head)}.`, uuid));
    else if (owner < 0) found.add(routeNames.manageOwned("", link.head, uuid));
    // By the head's owner, unless both are groups: then the head's own path covers it.
    if (link.headOwner !== null && !(owner >= 0 && nodes.isGroup(head) && nodes.isGroup(owner))) {
      found.add(routeNames.manageOwned(ownerPrefixOf(this.#topology, link.headOwner), link.head, uuid));
    }
    const name = objectName(uuid, "links");
    const manages = (rights: Closures) => this.#rule.manages(rights, link);
    for (const copy of this.#audienceCopies(name, manages, 3)) found.add(routeNames.manageCopy(copy));
    for (const copy of this.#heavyCopies(routeNames.manageCopy(name), manages, 3)) found.add(copy);
    return [...found];
  }

  #copies(route: string, holds: (rights: Closures) => boolean): string[] {
    return [...this.#audienceCopies(route, holds), ...this.#heavyCopies(route, holds)];
  }

  /** A copy of the route for each audience whose members have the object through it. */
  #audienceCopies(route: string, holds: (rights: Closures) => boolean, level: RightLevel = 1): string[] {
    const copies: string[] = [];
    const { nodes } = this.#topology;
    for (const role of this.#audiences.copied()) {
      const token = nodes.token(role);
      if (holds(this.#rights.ofRole(role, level))) copies.push(routeNames.role(token, route));
      // A manager of a crowded user has nothing more through that user.
      else if (!nodes.isUser(role) && holds(this.#rights.ofManaged(role, level)))
        copies.push(routeNames.managed(token, route));
    }
    return copies;
  }

  /** A copy of the route for each heavy user that has the object, but no pattern for it. */
  #heavyCopies(route: string, holds: (rights: Closures) => boolean, level: RightLevel = 1): string[] {
    const copies: string[] = [];
    for (const user of this.#heavy.possible) {
      if (!holds(this.#rights.of(user, level)) || holds(this.#rights.keptOf(user, level))) continue;
      copies.push(routeNames.copy(this.#topology.nodes.token(user), route));
    }
    return copies;
  }
}

/** The routes that are short enough for nats-server. */
export function routable(all: readonly string[]): string[] {
  return all.filter((route) => route.length <= MAX_ROUTE_BYTES);
}
