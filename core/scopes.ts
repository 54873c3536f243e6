/**
 * Token scopes (facts 6.2: a scope is `all`, or `METHOD /path`), applied to what a session may subscribe to and ask about.
 *
 * `all` and `GET /` leave a user's reading whole. `GET /arvados/v1/<resource>/<uuid>` leaves that one object. Every other
 * scope gives nothing here: lists and other verbs say nothing about events.
 */
import type { ObjectFacts, PermissionEngine } from "./graph/types.ts";
import { matches } from "./match.ts";
import { subjectToken } from "./subjects.ts";
import { isUuid, type Resource, resourceOf } from "./uuid.ts";

/** How many projects below what was granted a single-object token still finds an object whose owner the graph does not know. */
const DEPTH = 8;

const OBJECT_SCOPE = /^GET \/arvados\/v1\/([a-z_]+)\/([0-9a-z-]+)$/;

type ScopedObject = { uuid: string; resource: Resource };

/** What scopes leave of reading: everything, or these objects (none, for a token made for something else). */
function readingOf(scopes: readonly string[]): "everything" | ScopedObject[] {
  if (scopes.includes("all") || scopes.includes("GET /")) return "everything";
  const objects: ScopedObject[] = [];
  for (const scope of scopes) {
    const [, resource, uuid] = OBJECT_SCOPE.exec(scope) ?? [];
    if (uuid === undefined || !isUuid(uuid) || resourceOf(uuid) !== resource) continue;
    objects.push({ uuid, resource: resource as Resource });
  }
  return objects;
}

/** May a token with these scopes read the object at all, if its user may? */
export function scopesAllowObject(scopes: readonly string[], object: Pick<ObjectFacts, "uuid" | "resource">): boolean {
  const reading = readingOf(scopes);
  return reading === "everything" || reading.some(({ uuid }) => uuid === object.uuid);
}

/** Arvados' read rule for a token: its user's, cut down to its scopes. */
export function checkScoped(
  engine: Pick<PermissionEngine, "check">,
  user: string,
  scopes: readonly string[],
  object: ObjectFacts,
  now: number,
): boolean {
  return scopesAllowObject(scopes, object) && engine.check(user, object, now);
}

/** What scoping needs of the engine; `ownerOf` = the owner of an object whose row the graph holds, or null. */
type Engine = Pick<PermissionEngine, "grants" | "route"> & { ownerOf(uuid: string): string | null };

/** The user's patterns cut down to the scopes: sorted, never empty, none ending in `*`. */
export function scopedPatterns(engine: Engine, user: string, scopes: readonly string[]): readonly string[] {
  const { patterns } = engine.grants(user);
  const reading = readingOf(scopes);
  if (reading === "everything") return patterns;
  const found = new Set<string>();
  for (const object of reading) {
    for (const pattern of patternsOfOne(engine, patterns, object)) found.add(pattern);
  }
  // An empty list would allow everything. Nothing is ever published here.
  return found.size > 0 ? [...found].sort() : [`@none.${subjectToken(user)}`];
}

/**
 * Subjects of one object within the patterns. Where the graph knows the object's place (groups, users, requests, whatever is
 * shared by itself) these are the tails of its route; else its name at each depth below what is granted.
 */
function patternsOfOne(engine: Engine, patterns: readonly string[], object: ScopedObject): string[] {
  const owner = engine.ownerOf(object.uuid);
  if (owner !== null || object.resource === "containers") {
    const route = engine.route({ ...object, owner }, 0);
    return route.filter((tail) => patterns.some((pattern) => matches(pattern, tail)));
  }
  const name = `${subjectToken(object.uuid)}.${object.resource}`;
  return patterns.flatMap((pattern) => narrowed(pattern, name));
}

/** The part of a pattern that ends in `<uuid>.<resource>`. */
function narrowed(pattern: string, name: string): string[] {
  if (pattern === ">") return depths("", name);
  // Records of users and roles are never of an unknown place.
  if (pattern.startsWith("@via.") || pattern.startsWith("@roles.")) return [];
  if (pattern.startsWith("@manage.") && !name.endsWith(".links")) return [];
  if (pattern.endsWith(".>")) return depths(pattern.slice(0, -1), name);
  const [uuid, resource] = name.split(".") as [string, string];
  const tokens = pattern.split(".");
  const last = tokens.pop();
  const beforeLast = tokens.pop();
  if (last !== resource || (beforeLast !== "*" && beforeLast !== uuid)) return [];
  return [[...tokens, name].join(".")];
}

function depths(prefix: string, name: string): string[] {
  return Array.from({ length: DEPTH + 1 }, (_, depth) => prefix + "*.".repeat(depth) + name);
}
