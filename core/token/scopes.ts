/**
 * Token scopes (docs/arvados-permissions.md 5: a scope is `all`, or `METHOD /path`), applied to what a session may subscribe to and ask about.
 *
 * `all` and `GET /` allow to read all that the user may read. `GET /arvados/v1/<resource>/<uuid>` allows that one object. Every other
 * scope gives nothing here: lists and other verbs say nothing about events.
 *
 * The holder of a token chooses its scopes, as many and as long as the column allows. So they are first reduced to those that have an
 * effect, and what is compiled from them is kept by the list object, which is never changed.
 */
import type { ObjectFacts } from "../graph-types.ts";
import { routePatterns } from "../routes.ts";
import { isUuid, type Resource, resourceOf } from "../uuid.ts";
import { type ScopedObject, type ScopingEngine, scopedTo } from "./scoped-patterns.ts";

/**
 * Objects that one token may name. An object whose owner the graph knows costs 0.14 ms after each change of the graph (measured with
 * 100 audience roles), during which no login is answered; any other costs ten or more of the 4,000 patterns that a session may have.
 */
export const MAX_SCOPES = 256;
/** A column with more characters is not parsed. Three times what that many scopes take, and one or two milliseconds of parsing. */
export const MAX_SCOPES_TEXT = 64 * 1024;

/** The scopes that have an effect here; `over`: there are too many, and the token is refused. */
export type ReducedScopes = { scopes: readonly string[]; over: boolean };

const OVER: ReducedScopes = { scopes: [], over: true };
const NONE: ReducedScopes = { scopes: [], over: false };

const OBJECT_SCOPE = /^GET \/arvados\/v1\/([a-z_]+)\/([0-9a-z-]+)$/;
/** No scope with an effect is longer. */
const MAX_SCOPE = 100;

/** Of the column's text: a JSON array of strings. Rows from before 2017 hold YAML: their tokens get nothing. */
export function reduceScopesText(text: string): ReducedScopes {
  if (text.length > MAX_SCOPES_TEXT) return OVER;
  try {
    return reduceScopes(JSON.parse(text));
  } catch {
    return NONE;
  }
}

/** Of anything that should be a list of scopes. The rights are those of the whole list. */
export function reduceScopes(value: unknown): ReducedScopes {
  if (!Array.isArray(value)) return NONE;
  if (value.includes("all")) return { scopes: ["all"], over: false };
  if (value.includes("GET /")) return { scopes: ["GET /"], over: false };
  const found = new Set<string>();
  for (const scope of value) {
    if (typeof scope !== "string" || objectOf(scope) === null) continue;
    found.add(scope);
    if (found.size > MAX_SCOPES) return OVER;
  }
  return { scopes: [...found], over: false };
}

function objectOf(scope: string): ScopedObject | null {
  if (scope.length > MAX_SCOPE) return null;
  const [, resource, uuid] = OBJECT_SCOPE.exec(scope) ?? [];
  if (uuid === undefined || !isUuid(uuid) || resourceOf(uuid) !== resource) return null;
  return { uuid, resource: resource as Resource };
}

/** What scopes leave of reading: everything, or these objects (none, for a token made for something else), by uuid. */
type Reading = "everything" | ReadonlyMap<string, ScopedObject>;

const readings = new WeakMap<readonly string[], Reading>();

function readingOf(scopes: readonly string[]): Reading {
  const known = readings.get(scopes);
  if (known !== undefined) return known;
  const reading = compiledReading(scopes);
  readings.set(scopes, reading);
  return reading;
}

function compiledReading(scopes: readonly string[]): Reading {
  const reduced = reduceScopes(scopes);
  if (reduced.scopes[0] === "all" || reduced.scopes[0] === "GET /") return "everything";
  const objects = reduced.scopes.map(objectOf).filter((object) => object !== null);
  return new Map(objects.map((object) => [object.uuid, object]));
}

/** Do the scopes leave the user's reading whole? */
export function readsEverything(scopes: readonly string[]): boolean {
  return readingOf(scopes) === "everything";
}

/** May a token with these scopes read the object at all, if its user may? */
export function scopesAllowObject(scopes: readonly string[], object: Pick<ObjectFacts, "uuid" | "resource">): boolean {
  const reading = readingOf(scopes);
  return reading === "everything" || reading.has(object.uuid);
}

type Compiled = {
  engine: ScopingEngine;
  version: number;
  user: string;
  most: number;
  patterns: readonly string[] | null;
};

/** By the list of scopes, which is one token's: a token has one user, and a graph one version at a time. */
const compiled = new WeakMap<readonly string[], Compiled>();

/** The user's patterns cut down to the scopes: sorted, never empty, none ending in `*`; null where they are more than `most`. */
export function scopedWithin(
  engine: ScopingEngine,
  user: string,
  scopes: readonly string[],
  most: number,
): readonly string[] | null {
  const reading = readingOf(scopes);
  if (reading === "everything") {
    const { patterns } = engine.grants(user);
    return patterns.length > most ? null : patterns;
  }
  const { version } = engine;
  const known = compiled.get(scopes);
  if (known?.engine === engine && known.version === version && known.user === user && known.most === most) {
    return known.patterns;
  }
  const found = scopedTo(engine, user, reading.values(), most);
  const patterns = found?.length === 0 ? [routePatterns.nothing(user)] : found;
  compiled.set(scopes, { engine, version, user, most, patterns });
  return patterns;
}
