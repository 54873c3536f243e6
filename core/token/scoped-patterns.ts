/**
 * A user's patterns reduced to single objects. The work is bounded by the result, which is bounded before it is built: each pattern
 * is read once, to be filed, and an object is compared only with those that can match it.
 */
import type { PermissionEngine } from "../graph-types.ts";
import { PatternSet } from "../pattern-set.ts";
import { narrowedTo, objectName, objectOfPattern } from "../routes.ts";
import type { Resource } from "../uuid.ts";

export type ScopedObject = { uuid: string; resource: Resource };

/**
 * What scoping needs of the graph. `ownerOf`: the owner of an object that has a row in the graph, or null. `version` changes with every
 * change.
 */
export type ScopingEngine = Pick<PermissionEngine, "grants" | "route"> & {
  ownerOf(uuid: string): string | null;
  readonly version: number;
};

/** Up to how many projects below a granted one an object is found whose owner the graph does not know. */
const DEPTH = 8;
/** Routes compared for one token: a container has one for each request that shows it, which may be any number. */
const MAX_PLACES = 4_000;

/** The patterns of one user, filed by what they can match. */
type Filed = { set: PatternSet; open: Map<Resource, readonly string[]>; exact: ReadonlyMap<string, readonly string[]> };

/** By the graph's list of a user's grants, which is the same object until they change. */
const filed = new WeakMap<readonly string[], Filed>();

/** Sorted; null where they are more than `most`, or the objects have too many places to look at. */
export function scopedTo(
  engine: ScopingEngine,
  user: string,
  objects: Iterable<ScopedObject>,
  most: number,
): string[] | null {
  const { patterns } = engine.grants(user);
  const found = new Set<string>();
  let places = 0;
  for (const object of objects) {
    const owner = engine.ownerOf(object.uuid);
    if (owner !== null || object.resource === "containers") {
      // The graph knows the object's owner (groups, users, requests, single shared objects): its routes.
      const route = engine.route({ ...object, owner }, 0);
      places += route.length;
      if (places > MAX_PLACES) return null;
      const { set } = filedOf(patterns);
      for (const tail of route) if (set.matches(tail)) found.add(tail);
    } else addAnywhere(found, filedOf(patterns), patterns, object, most);
    if (found.size > most) return null;
  }
  return [...found].sort();
}

/** The object's name at each depth below what is granted. */
function addAnywhere(
  found: Set<string>,
  files: Filed,
  patterns: readonly string[],
  { uuid, resource }: ScopedObject,
  most: number,
): void {
  const name = objectName(uuid, resource);
  let open = files.open.get(resource);
  if (!open) {
    open = patterns.filter((pattern) => isOpen(pattern, resource));
    files.open.set(resource, open);
  }
  for (const list of [open, files.exact.get(name) ?? []]) {
    for (const pattern of list) {
      for (const one of narrowedTo(pattern, name, DEPTH)) found.add(one);
      if (found.size > most) return;
    }
  }
}

function filedOf(patterns: readonly string[]): Filed {
  const known = filed.get(patterns);
  if (known) return known;
  const exact = new Map<string, string[]>();
  for (const pattern of patterns) {
    const name = objectOfPattern(pattern);
    if (name === null) continue;
    const same = exact.get(name);
    if (same) same.push(pattern);
    else exact.set(name, [pattern]);
  }
  const files: Filed = { set: new PatternSet(patterns), open: new Map(), exact };
  filed.set(patterns, files);
  return files;
}

/** Can the pattern say something of any object of this kind? Those of one object are filed by its name. */
function isOpen(pattern: string, resource: Resource): boolean {
  return narrowedTo(pattern, `*.${resource}`, DEPTH).length > 0;
}
