import type { Topology } from "../store/topology.ts";
import { type Closure, closureOf } from "./closure.ts";

/** What a heavy user has by patterns: itself, and of its closure what `keeps` accepts and the groups that hold everybody. */
export function keptOf(topology: Topology, user: number, closure: Closure, keeps: (node: number) => boolean): Closure {
  const some = (nodes: ReadonlySet<number>, also: (node: number) => boolean = () => false): Set<number> => {
    const kept = new Set<number>();
    for (const node of nodes) if (also(node) || keeps(node)) kept.add(node);
    return kept;
  };
  const isEverybody = (node: number) => topology.isEverybody(node);
  const own = some(closure.own, (node) => node === user);
  const seeds = some(closure.seeds);
  const audiences = some(closure.audiences, isEverybody);
  const records = new Set<number>();
  for (const node of [...own, ...seeds]) if (node !== user && topology.nodes.isUser(node)) records.add(node);
  return closureOf({
    own,
    direct: some(closure.direct),
    seeds,
    audiences,
    indirect: some(closure.indirect, isEverybody),
    roles: new Set(audiences),
    sources: new Set(),
    via: new Set(),
    records,
  });
}
