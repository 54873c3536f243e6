import type { IntColumn, Nodes } from "./nodes.ts";

/** The place of a group that is no source, a source owned by a group, or a source without a known owner; otherwise the owning user. */
const NO_SOURCE = -1;
const NESTED = -2;
const ROOTLESS = -3;

/**
 * *Sources* are groups whose edges a walk follows: they have outgoing links, own users, or are roles. Most are roles, owned by
 * root, and found by the links to them. This index finds those that are reached by ownership: owned by a user who is the start of a
 * walk, or nested in a project that a walk reaches.
 */
export class SourceIndex {
  readonly #nodes: Nodes;
  readonly #place: IntColumn;
  readonly #nested = new Set<number>();
  readonly #owned = new Map<number, Set<number>>();

  constructor(nodes: Nodes) {
    this.#nodes = nodes;
    this.#place = nodes.column(NO_SOURCE);
  }

  has(group: number): boolean {
    return this.#place.get(group) !== NO_SOURCE;
  }

  /** Sources owned by a group: reached wherever one of the groups above them is. */
  get nested(): ReadonlySet<number> {
    return this.#nested;
  }

  ownedBy(user: number): ReadonlySet<number> | undefined {
    return this.#owned.get(user);
  }

  /** Puts a group where it belongs. `owner`: a node, or -1. */
  put(group: number, isSource: boolean, owner: number): void {
    const before = this.#place.get(group);
    const place = isSource ? this.#placeOf(owner) : NO_SOURCE;
    if (place === before) return;
    if (before === NESTED) this.#nested.delete(group);
    else if (before >= 0) this.#drop(before, group);
    if (place === NESTED) this.#nested.add(group);
    else if (place >= 0) this.#add(place, group);
    this.#place.set(group, place);
  }

  #placeOf(owner: number): number {
    if (owner >= 0 && this.#nodes.isUser(owner)) return owner;
    return owner >= 0 && this.#nodes.isGroup(owner) ? NESTED : ROOTLESS;
  }

  #add(user: number, group: number): void {
    const owned = this.#owned.get(user);
    if (owned) owned.add(group);
    else this.#owned.set(user, new Set([group]));
  }

  #drop(user: number, group: number): void {
    const owned = this.#owned.get(user);
    owned?.delete(group);
    if (owned?.size === 0) this.#owned.delete(user);
  }
}
