/**
 * A row of Arvados' `logs` table, cut down at the door: a huge transaction is held in memory until its commit, manifests and secrets
 * are of no use, and `properties` may hold megabytes of anything, since any token holder may insert a row. Pure.
 */
import { isUuid } from "../core/uuid.ts";
import { type Row, type RowChange, utcMillis } from "./row.ts";

export type Attributes = Record<string, unknown>;

/** JSON text of what `KEPT` leaves of a row's attributes. */
export type Packed = string;

export function unpacked(text: Packed): Attributes {
  return JSON.parse(text) as Attributes;
}

export type LogRow = {
  object_uuid: string;
  event_type: string;
  /** UTC milliseconds. */
  at: number;
  /** Attributes before and after, packed: as JSON text they take a third of the memory. */
  old: Packed | null;
  new: Packed | null;
  /** Of events that are no change of an object: the properties, where they are not too long. */
  properties: Attributes | null;
};

/** Attributes an event shows: what arvados-ws sends, plus the row's own times. Never manifests, never secrets. */
export const EVENT_ATTRIBUTES = [
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

/** What events show, and what it takes to know where a deleted object lived. */
const KEPT = ["id", ...EVENT_ATTRIBUTES, "link_class", "tail_uuid", "head_uuid", "user_id"] as const;

/** Event types that speak of a change of the object's row, and of which. */
export const OP_OF_TYPE: Readonly<Record<string, RowChange["op"]>> = {
  create: "insert",
  update: "update",
  delete: "delete",
};
export const CHANGE_TYPES: ReadonlySet<string> = new Set(Object.keys(OP_OF_TYPE));

/** Longer values are left out; Arvados' own columns of these names hold 255 characters. */
const MAX_VALUE = 1_024;
/** Properties of custom events, as JSON text. */
const MAX_PROPERTIES = 16_384;
const EVENT_TYPE = /^[\w.-]{1,64}$/;

/** Null for a row that cannot be an event: NULL where Arvados always has a value, or nonsense where it has a uuid. */
export function logRow(row: Row): LogRow | null {
  const { object_uuid, event_type } = row;
  const at = utcMillis(row.event_at);
  if (typeof object_uuid !== "string" || !isUuid(object_uuid) || at === null) return null;
  if (typeof event_type !== "string" || !EVENT_TYPE.test(event_type)) return null;
  const text = typeof row.properties === "string" ? row.properties : "";
  const parsed = objectOf(text);
  if (!CHANGE_TYPES.has(event_type)) {
    const properties = text.length <= MAX_PROPERTIES ? parsed : null;
    return { object_uuid, event_type, at, old: null, new: null, properties };
  }
  return {
    object_uuid,
    event_type,
    at,
    old: packed(parsed?.old_attributes),
    new: packed(parsed?.new_attributes),
    properties: null,
  };
}

function packed(value: unknown): Packed | null {
  if (!isObject(value)) return null;
  const kept: Attributes = {};
  for (const name of KEPT) {
    const found = value[name];
    if (found === undefined || (typeof found === "object" && found !== null)) continue;
    if (typeof found === "string" && found.length > MAX_VALUE) continue;
    kept[name] = found;
  }
  // A text of its own: slices of the whole would keep all of it in memory.
  return JSON.stringify(kept);
}

function objectOf(text: string): Attributes | null {
  // YAML of before 2017 begins with `---`; empty means {}.
  if (!text.startsWith("{")) return null;
  try {
    const parsed: unknown = JSON.parse(text);
    return isObject(parsed) ? parsed : null;
  } catch {
    return null;
  }
}

function isObject(value: unknown): value is Attributes {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
