import type { Topology } from "../store/topology.ts";

/**
 * What one user (or one role, taken as if it were a user) reaches along edges of at least some level: docs/arvados-permissions.md 3.1.
 *
 * Users are walked through only where the walk starts; groups always; objects never. The walk goes from source to source
 * (see topology.ts), so it costs the links it follows and not the size of the projects they give. With `stop`, a role
 * for which `stop` is true is noted in `audiences` and not entered: what it gives is published for its members (docs/subjects.md 3).
 */
export type Reach = {
  readonly start: number;
  /** Heads of the links followed. What lies below a group among them by ownership is reached as well. */
  readonly seeds: Set<number>;
  /** Groups whose links were followed. */
  readonly sources: Set<number>;
  /** Roles met and not entered. */
  readonly audiences: Set<number>;
  /** Users reached by an edge of level 3: what they own is within reach (`traverse_owned`). */
  readonly managed: Set<number>;
};

export function reach(
  topology: Topology,
  start: number,
  level: number,
  stop: ((role: number) => boolean) | null,
): Reach {
  const { nodes, ownership } = topology;
  const found: Reach = { start, seeds: new Set(), sources: new Set(), audiences: new Set(), managed: new Set() };
  const { seeds, sources, audiences, managed } = found;
  const todo: number[] = [];

  const enter = (group: number): void => {
    if (group === start || sources.has(group)) return;
    sources.add(group);
    todo.push(group);
  };
  const stopsAt = (group: number): boolean =>
    stop !== null && group !== start && topology.roles.has(group) && stop(group);
  const follow = (source: number): void => {
    for (const edge of topology.out(source)) {
      if (edge.level < level) continue;
      const { head } = edge;
      if (nodes.isUser(head)) {
        seeds.add(head);
        if (edge.level >= 3) managed.add(head);
      } else if (!seeds.has(head)) {
        if (topology.sources.has(head) && stopsAt(head)) audiences.add(head);
        else {
          seeds.add(head);
          if (topology.sources.has(head)) enter(head);
        }
      }
    }
    const owned = ownership.usersOwnedBy(source);
    if (owned) for (const user of owned) managed.add(user);
  };
  const drain = (): void => {
    for (let source = todo.pop(); source !== undefined; source = todo.pop()) follow(source);
  };

  if (nodes.isGroup(start)) seeds.add(start);
  follow(start);
  for (const group of topology.sources.ownedBy(start) ?? []) {
    if (stopsAt(group)) audiences.add(group);
    else enter(group);
  }
  drain();
  // Sources inside projects are reached where a group above them is. Each one entered may bring seeds above another.
  for (let again = topology.sources.nested.size > 0; again; ) {
    again = false;
    for (const group of topology.sources.nested) {
      if (sources.has(group) || audiences.has(group) || group === start || !isBelow(topology, found, group)) continue;
      if (stopsAt(group)) audiences.add(group);
      else {
        enter(group);
        again = true;
      }
    }
    drain();
  }
  return found;
}

/** Is a group reached by ownership: is one of the groups above it a seed, or the user above them the start? */
function isBelow(topology: Topology, found: Reach, group: number): boolean {
  return topology.ownership.someAbove(
    group,
    (at) => found.seeds.has(at),
    (user) => user === found.start,
  );
}
