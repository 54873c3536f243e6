/**
 * Record events from a commit: which `logs` rows are true, what they say, and where the object they speak of lives. Pure.
 * A `logs` row is only a hint, for any token holder may insert one: it becomes an event when the same transaction changed that
 * object's own row, and owner and kind come from that row.
 */
import type { ObjectFacts } from "../core/graph/types.ts";
import { kindOf, type Resource, resourceOf } from "../core/uuid.ts";
import type { RecordEvent } from "../core/wire.ts";
import { type Commit, type LogRow, type RowChange, utcMillis } from "./commit.ts";
import type { GraphState } from "./graph-state.ts";

/** An event and what it is routed by: where the object lives now, that it was deleted, or the owner it has left. */
export type EventToRoute = { event: RecordEvent; facts: ObjectFacts; deleted?: true; left?: string };

/** Attributes an event shows: what arvados-ws sends, plus the row's own times. Never manifests, never secrets. */
const ATTRIBUTES = [
  "uuid",
  "name",
  "owner_uuid",
  "state",
  "portable_data_hash",
  "is_trashed",
  "requesting_container_uuid",
  "modified_at",
  "modified_by_user_uuid",
] as const;

const OP_OF_TYPE: Record<string, RowChange["op"]> = { create: "insert", update: "update", delete: "delete" };

type Properties = { old_attributes: Record<string, unknown> | null; new_attributes: Record<string, unknown> | null };

/** The commit's events in the order of its log rows; `untrue` counts log rows that no change of the object's row stands behind. */
export function eventsOf(commit: Commit, state: GraphState): { events: EventToRoute[]; untrue: number } {
  const changed = new Map<string, RowChange>();
  for (const change of commit.rows) changed.set(keyOf(change), change);
  const events: EventToRoute[] = [];
  let untrue = 0;
  for (const log of commit.logs) {
    const routed = eventOf(log, changed, state);
    if (routed.length === 0) untrue++;
    events.push(...routed);
  }
  return { events, untrue };
}

/** Deletes carry only the numeric id, the rest is known by uuid. */
function keyOf(change: RowChange): string {
  return change.op === "delete" ? `${change.table}:${change.id}` : String(change.row.uuid);
}

function eventOf(log: LogRow, changed: Map<string, RowChange>, state: GraphState): EventToRoute[] {
  const resource = resourceOf(log.object_uuid);
  const op = OP_OF_TYPE[log.event_type];
  if (!resource || !op) return [];
  const properties = propertiesOf(log.properties);
  const at = utcMillis(log.event_at);
  if (!properties || at === null) return [];
  if (op === "delete") {
    const old = properties.old_attributes;
    if (!old || !changed.has(`${resource}:${Number(old.id)}`)) return [];
    const facts = factsOfAttributes(log.object_uuid, resource, old, state);
    return [{ event: body(log, resource, facts.owner, at, old), facts, deleted: true }];
  }
  const change = changed.get(log.object_uuid);
  if (change?.op !== op || !properties.new_attributes) return [];
  const facts = factsOfRow(log.object_uuid, resource, change, state);
  const present: EventToRoute = {
    event: body(log, resource, facts.owner, at, properties.new_attributes),
    facts,
  };
  const oldOwner = properties.old_attributes?.owner_uuid;
  if (op !== "update" || typeof oldOwner !== "string" || oldOwner === facts.owner) return [present];
  return [leftEvent(log, resource, facts, oldOwner, at), present];
}

/** The last event on the path an object has left: that it went, not where to. */
function leftEvent(log: LogRow, resource: Resource, facts: ObjectFacts, oldOwner: string, at: number): EventToRoute {
  const event = { ...body(log, resource, oldOwner, at, { uuid: log.object_uuid }), event_type: "left" };
  return { event, facts, left: oldOwner };
}

function body(
  log: LogRow,
  resource: Resource,
  owner: string | null,
  at: number,
  row: Record<string, unknown>,
): RecordEvent {
  const attributes: Record<string, unknown> = {};
  for (const name of ATTRIBUTES) if (row[name] !== undefined) attributes[name] = row[name];
  return {
    event_type: log.event_type,
    object_uuid: log.object_uuid,
    object_kind: kindOf(resource),
    object_owner_uuid: owner,
    event_at: new Date(at).toISOString(),
    attributes,
  };
}

function factsOfRow(uuid: string, resource: Resource, change: RowChange, state: GraphState): ObjectFacts {
  const row = change.row ?? {};
  const facts: ObjectFacts = { uuid, resource, owner: textOrNull(row.owner_uuid), trashAt: utcMillis(row.trash_at) };
  if (resource === "links") {
    const head = String(row.head_uuid);
    facts.link = {
      linkClass: String(row.link_class),
      tail: String(row.tail_uuid),
      head,
      headOwner: state.row("owner", head)?.owner_uuid ?? null,
    };
  }
  if (resource === "api_client_authorizations") setTokenUser(facts, state.row("token", uuid)?.user_uuid);
  return facts;
}

/** For deletes the log row's last attributes say where the object lived: its numeric id has vouched for the row. */
function factsOfAttributes(
  uuid: string,
  resource: Resource,
  row: Record<string, unknown>,
  state: GraphState,
): ObjectFacts {
  const facts: ObjectFacts = { uuid, resource, owner: textOrNull(row.owner_uuid) };
  if (resource === "links") {
    facts.link = { linkClass: String(row.link_class), tail: String(row.tail_uuid), head: String(row.head_uuid) };
  }
  if (resource === "api_client_authorizations") setTokenUser(facts, state.uuidOf("users", Number(row.user_id)));
  return facts;
}

/** Tokens have no owner column: they belong to their user. */
function setTokenUser(facts: ObjectFacts, user: string | undefined): void {
  facts.owner = user ?? null;
  if (user !== undefined) facts.tokenUser = user;
}

function propertiesOf(text: string): Properties | null {
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed !== "object" || parsed === null) return null;
    const { old_attributes, new_attributes } = parsed as Record<string, unknown>;
    return { old_attributes: objectOrNull(old_attributes), new_attributes: objectOrNull(new_attributes) };
  } catch {
    return null;
  }
}

function objectOrNull(value: unknown): Record<string, unknown> | null {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : null;
}

function textOrNull(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}
