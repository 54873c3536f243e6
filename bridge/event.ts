/**
 * Record events from a commit: which `logs` rows are true, what they say, and where the object they speak of lives. Pure.
 * A `logs` row is only a hint, for any token holder may insert one: it becomes an event when the same transaction changed that
 * object's own row, and owner and kind come from that row. Rows of other types become custom events, marked untrusted.
 */
import type { ObjectFacts } from "../core/graph/types.ts";
import { kindOf, type Resource, resourceOf } from "../core/uuid.ts";
import type { RecordEvent } from "../core/wire.ts";
import type { Commit } from "./commit.ts";
import type { GraphState } from "./graph-state.ts";
import { type Attributes, CHANGE_TYPES, EVENT_ATTRIBUTES, type LogRow, OP_OF_TYPE, unpacked } from "./log-row.ts";
import { factsOfAttributes, factsOfRow } from "./object-facts.ts";
import type { Row, RowChange } from "./row.ts";
import { isTable, keyOf } from "./tables.ts";

/** An event and what it is routed by: where the object lives now, that it was deleted, or the owner it has left. */
export type EventToRoute = {
  event: RecordEvent;
  facts: ObjectFacts;
  deleted?: true;
  left?: string;
  /** The object that the subject names at its end, where `facts` only stand for it. */
  shownAs?: { uuid: string; resource: Resource };
  /** Where the object was before is not known. */
  gap?: true;
};

/** Rows of objects that custom events speak of and the commit did not change, by uuid: looked up beforehand. */
export type LookedUp = ReadonlyMap<string, Row>;

/** The commit's events, one log row after the other; an empty list for a row that nothing true stands behind. */
export function* eventsOf(
  commit: Commit,
  state: GraphState,
  lookedUp: LookedUp = new Map(),
): Generator<EventToRoute[], void, void> {
  const changed = changesOf(commit.rows);
  for (const log of commit.logs) {
    yield CHANGE_TYPES.has(log.event_type)
      ? changeEvents(log, changed, state)
      : customEvents(log, changed, state, lookedUp);
  }
}

/** Objects that the commit's custom events speak of and whose rows it does not hold. */
export function objectsToLookUp(commit: Commit): string[] {
  const custom = commit.logs.filter(
    (log) => !CHANGE_TYPES.has(log.event_type) && resourceOf(log.object_uuid) !== "users",
  );
  if (custom.length === 0) return [];
  const { byUuid } = changesOf(commit.rows);
  return [...new Set(custom.map((log) => log.object_uuid).filter((uuid) => !byUuid.has(uuid)))];
}

/** What a commit did to a row: one may be created, changed and deleted in one transaction. */
type Changed = { table: string; row: Row; insert: boolean; update: boolean };
type Changes = { byUuid: Map<string, Changed>; deleted: Set<string> };

/** Rows by uuid, as they last were; deleted ones by table and key, all that a delete carries. */
function changesOf(rows: readonly RowChange[]): Changes {
  const byUuid = new Map<string, Changed>();
  const deleted = new Set<string>();
  for (const { table, op, id, row } of rows) {
    if (op === "delete") deleted.add(`${table}:${id}`);
    else {
      const uuid = String(row.uuid);
      const before = byUuid.get(uuid) ?? { insert: false, update: false };
      byUuid.set(uuid, {
        table,
        row,
        insert: before.insert || op === "insert",
        update: before.update || op === "update",
      });
    }
  }
  return { byUuid, deleted };
}

function changeEvents(log: LogRow, { byUuid, deleted }: Changes, state: GraphState): EventToRoute[] {
  const resource = resourceOf(log.object_uuid);
  const op = OP_OF_TYPE[log.event_type];
  if (!resource || !op) return [];
  if (op === "delete") {
    const old = log.old === null ? null : unpacked(log.old);
    if (!old || !isTable(resource) || !deleted.has(`${resource}:${keyOf(resource, old)}`)) return [];
    const facts = factsOfAttributes(log.object_uuid, resource, old, state);
    return [{ event: body(log, resource, facts.owner, shown(old)), facts, deleted: true }];
  }
  const change = byUuid.get(log.object_uuid);
  if (!change?.[op] || change.table !== resource || !log.new) return [];
  const facts = factsOfRow(log.object_uuid, resource, change.row, state);
  const present: EventToRoute = { event: body(log, resource, facts.owner, shown(unpacked(log.new))), facts };
  const oldOwner = log.old === null ? null : unpacked(log.old).owner_uuid;
  if (op !== "update" || typeof oldOwner !== "string" || oldOwner === facts.owner) return [present];
  return [leftEvent(log, resource, facts, oldOwner), present];
}

/** The last event on the path an object has left: that it went, not where to. */
function leftEvent(log: LogRow, resource: Resource, facts: ObjectFacts, oldOwner: string): EventToRoute {
  const event = { ...body(log, resource, oldOwner, { uuid: log.object_uuid }), event_type: "left" };
  return { event, facts, left: oldOwner };
}

/** Of what is no change of the object: anybody may have written it, about any object. */
function customEvents(log: LogRow, changed: Changes, state: GraphState, lookedUp: LookedUp): EventToRoute[] {
  const resource = resourceOf(log.object_uuid);
  if (!resource) return [];
  const facts = customFacts(log.object_uuid, resource, changed, state, lookedUp);
  if (!facts) return [];
  const event: RecordEvent = { ...body(log, resource, facts.owner, {}), untrusted: true };
  if (log.properties) event.properties = log.properties;
  return [{ event, facts, shownAs: { uuid: log.object_uuid, resource } }];
}

function customFacts(
  uuid: string,
  resource: Resource,
  changed: Changes,
  state: GraphState,
  lookedUp: LookedUp,
): ObjectFacts | null {
  if (resource === "users") {
    // For those who may read what the user owns, not for everyone who may see the user's record: the route of a thing of the
    // user's that nobody shares by itself.
    const thing = `${uuid.slice(0, 5)}-4zz18-000000000000000`;
    return state.row("user", uuid) ? { uuid: thing, resource: "collections", owner: uuid } : null;
  }
  const row = changed.byUuid.get(uuid)?.row ?? lookedUp.get(uuid);
  return row ? factsOfRow(uuid, resource, row, state) : null;
}

function shown(row: Attributes): Attributes {
  const attributes: Attributes = {};
  for (const name of EVENT_ATTRIBUTES) if (row[name] !== undefined) attributes[name] = row[name];
  return attributes;
}

function body(log: LogRow, resource: Resource, owner: string | null, attributes: Attributes): RecordEvent {
  return {
    event_type: log.event_type,
    object_uuid: log.object_uuid,
    object_kind: kindOf(resource),
    object_owner_uuid: owner,
    event_at: new Date(log.at).toISOString(),
    attributes,
  };
}
