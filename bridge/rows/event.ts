/**
 * Makes record events of a commit's `logs` rows: which rows are true, what the event says, and which owner its object has. Pure;
 * `commit/event-router.ts` calls it. A `logs` row alone proves nothing, because any token holder may insert one. It becomes an event when the
 * same transaction changed that object's own row; owner and kind come from that row. Rows of other types become custom events, marked untrusted.
 */
import type { ObjectFacts } from "../../core/graph-types.ts";
import { kindOf, type Resource, resourceOf } from "../../core/uuid.ts";
import type { RecordEvent } from "../../core/wire/wire.ts";
import type { RowValues } from "../postgres/row.ts";
import { isTable, keyOf } from "../postgres/tables.ts";
import type { CommitRows } from "./commit-rows.ts";
import type { GraphRowSet } from "./graph-row-set.ts";
import type { LastOwners } from "./last-owners.ts";
import { type Attributes, CHANGE_TYPES, EVENT_ATTRIBUTES, type LogRow, unpacked } from "./log-row.ts";
import { factsOfAttributes, factsOfRow } from "./object-facts.ts";

/** An event and what it is routed by: the object's facts, that it was deleted, or the owner that it left. */
export type EventToRoute = {
  event: RecordEvent;
  facts: ObjectFacts;
  deleted?: true;
  left?: string;
  /** The event concerns a user and goes to those who may read what the user owns, not to all who see the user's record. */
  asOwned?: true;
  /** The former owner of the object is not known. */
  gap?: true;
  /** Of a custom event: the user who wrote its log row; null = not known. */
  actor?: string | null;
};

/** By uuid: rows of objects that custom events are about and the commit did not change. */
export type LookedUp = ReadonlyMap<string, RowValues>;

/** What a commit's log rows are checked against. */
export type EventContext = {
  rows: CommitRows;
  state: GraphRowSet;
  /** The owners that objects had last. */
  owners: Pick<LastOwners, "of" | "deletedLink" | "deletedToken">;
  lookedUp: LookedUp;
};

/** The events of one log row: none where the row is not true. */
export function eventsOf(log: LogRow, context: EventContext): EventToRoute[] {
  return CHANGE_TYPES.has(log.event_type) ? changeEvents(log, context) : customEvents(log, context);
}

/** The object whose row must be looked up before a custom event can be routed; null = none. */
export function objectToLookUp(log: LogRow, rows: CommitRows): string | null {
  if (CHANGE_TYPES.has(log.event_type) || resourceOf(log.object_uuid) === "users") return null;
  return rows.ofUuid(log.object_uuid)?.last ? null : log.object_uuid;
}

/** Does the log row claim that an object moved, while its former owner is not known here? */
export function claimsUnknownMove(log: LogRow, { rows, state, owners }: Omit<EventContext, "lookedUp">): boolean {
  if (log.event_type !== "update" || log.old === null || owners.of(log.object_uuid, state) !== undefined) return false;
  const claimed = unpacked(log.old).owner_uuid;
  const owner = rows.ofUuid(log.object_uuid)?.last?.row.owner_uuid;
  return claimed !== undefined && owner !== undefined && owner !== claimed;
}

function changeEvents(log: LogRow, context: EventContext): EventToRoute[] {
  const resource = resourceOf(log.object_uuid);
  if (!resource) return [];
  if (log.event_type === "delete") return deleteEvents(log, resource, context);
  const { rows, state, owners } = context;
  const history = rows.ofUuid(log.object_uuid);
  // An object that the commit created and deleted has no row after it.
  if (!history?.last || history.last.table !== resource || !log.new) return [];
  if (log.event_type === "create" ? !history.inserted : !history.updated) return [];
  const facts = factsOfRow(log.object_uuid, resource, history.last.row, state);
  const present: EventToRoute = { event: body(log, resource, facts.owner, shown(unpacked(log.new))), facts };
  if (log.event_type === "create") return [present];
  const former = owners.of(log.object_uuid, state);
  // The former owner comes from our own rows and events: a log row may name any owner.
  if (former === undefined) {
    const claimed = log.old === null ? undefined : unpacked(log.old).owner_uuid;
    return [claimed === undefined || claimed === facts.owner ? present : { ...present, gap: true }];
  }
  return former === null || former === facts.owner ? [present] : [leftEvent(log, resource, facts, former), present];
}

function deleteEvents(log: LogRow, resource: Resource, { rows, state, owners }: EventContext): EventToRoute[] {
  const old = log.old === null ? null : unpacked(log.old);
  if (!old || !isTable(resource)) return [];
  const history = rows.ofId(resource, keyOf(resource, old));
  if (!history || history.last !== null || history.isNew) return [];
  const facts = factsOfAttributes(log.object_uuid, resource, old, state);
  const former = history.written?.row.owner_uuid ?? owners.of(log.object_uuid, state);
  if (contradicts(facts, former, owners)) return [];
  return [{ event: body(log, resource, facts.owner, shown(old)), facts, deleted: true }];
}

/** Does a log row name another owner of a deleted object than our own rows? */
function contradicts(facts: ObjectFacts, former: unknown, owners: EventContext["owners"]): boolean {
  if (facts.resource === "api_client_authorizations") {
    const token = owners.deletedToken(facts.uuid);
    return token !== undefined && token.user_uuid !== facts.tokenUser;
  }
  const link = facts.resource === "links" ? owners.deletedLink(facts.uuid) : undefined;
  if (link && facts.link?.linkClass !== "permission") return true;
  if (link && (link.tail_uuid !== facts.link?.tail || link.head_uuid !== facts.link.head)) return true;
  return former !== undefined && former !== facts.owner;
}

/** The last event on the path that an object has left. It does not say where the object is now. */
function leftEvent(log: LogRow, resource: Resource, facts: ObjectFacts, oldOwner: string): EventToRoute {
  const event = { ...body(log, resource, oldOwner, { uuid: log.object_uuid }), event_type: "left" };
  return { event, facts, left: oldOwner };
}

/** Events of rows that describe no change: any token holder may have written the row, about any object. */
function customEvents(log: LogRow, context: EventContext): EventToRoute[] {
  const resource = resourceOf(log.object_uuid);
  if (!resource) return [];
  const facts = customFacts(log.object_uuid, resource, context);
  if (!facts) return [];
  const event: RecordEvent = { ...body(log, resource, facts.owner, {}), untrusted: true };
  if (log.properties) event.properties = log.properties;
  return [{ event, facts, ...(resource === "users" ? { asOwned: true } : {}), actor: log.actor }];
}

function customFacts(uuid: string, resource: Resource, { rows, state, lookedUp }: EventContext): ObjectFacts | null {
  if (resource === "users") {
    return state.row("user", uuid) ? { uuid, resource, owner: uuid } : null;
  }
  const row = rows.ofUuid(uuid)?.last?.row ?? lookedUp.get(uuid);
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
