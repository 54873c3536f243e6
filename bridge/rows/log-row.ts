/**
 * A row of Arvados' `logs` table, reduced as it is read: a huge transaction is kept until its commit, manifests and secrets are not needed, and
 * `properties` may hold megabytes of anything, because any token holder may insert a row. Pure; `commit/commit.ts` calls it.
 */
import { isUuid } from "../../core/uuid.ts";
import { isUnreadableTime, type RowValues, textOrNull, utcMillis } from "../postgres/row.ts";
import { innerMembersOf, isNoDeeperThan, type Span } from "./json-members.ts";

export type Attributes = Record<string, unknown>;

/** JSON text of a row's attributes, only those in `KEPT`. */
export type Packed = string;

export function unpacked(text: Packed): Attributes {
  return JSON.parse(text) as Attributes;
}

export type LogRow = {
  object_uuid: string;
  event_type: string;
  /** UTC milliseconds. */
  at: number;
  /** Of custom events: the user who wrote the row (Arvados sets it at every save); null = not known. */
  actor: string | null;
  /** Attributes before and after the change. JSON text needs a third of the memory. */
  old: Packed | null;
  new: Packed | null;
  /** Of custom events: the properties, where they are not too long. */
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

/** What events show, and what identifies the owner of a deleted object. */
const KEPT = ["id", ...EVENT_ATTRIBUTES, "link_class", "tail_uuid", "head_uuid", "user_id"] as const;

/** Event types that describe a change of the object's row. All others are custom. */
export const CHANGE_TYPES: ReadonlySet<string> = new Set(["create", "update", "delete"]);

/** Longer values are left out; Arvados' own columns of these names hold 255 characters. */
const MAX_VALUE = 1_024;
/** Of a value's text: each character may be an escape of 6 bytes. */
const MAX_VALUE_BYTES = 6 * MAX_VALUE + 2;
/** Bounds on the properties of custom events: bytes of JSON text, and nesting. Clients parse them too. */
const MAX_PROPERTIES = 16_384;
const MAX_DEPTH = 32;
const EVENT_TYPE = /^[\w.-]{1,64}$/;

const ATTRIBUTES: ReadonlySet<string> = new Set(["old_attributes", "new_attributes"]);
const KEPT_NAMES: ReadonlySet<string> = new Set(KEPT);

/** Null for a row that cannot be an event: it has NULL where Arvados always has a value, or no valid uuid. `properties` is UTF-8 text. */
export function logRow(row: RowValues): LogRow | null {
  const { object_uuid, event_type } = row;
  const at = utcMillis(row.event_at);
  if (typeof object_uuid !== "string" || !isUuid(object_uuid)) return null;
  if (at === null || isUnreadableTime(row.event_at)) return null;
  if (typeof event_type !== "string" || !EVENT_TYPE.test(event_type)) return null;
  const text = bytesOf(row.properties);
  const whole = { start: 0, end: text.length };
  if (!CHANGE_TYPES.has(event_type)) {
    const actor = textOrNull(row.modified_by_user_uuid);
    return { object_uuid, event_type, at, actor, old: null, new: null, properties: propertiesOf(text, whole) };
  }
  const attributes = innerMembersOf(text, ATTRIBUTES, KEPT_NAMES);
  const old = packed(text, attributes?.get("old_attributes"));
  const after = packed(text, attributes?.get("new_attributes"));
  return { object_uuid, event_type, at, actor: null, old, new: after, properties: null };
}

/** Approximate memory of the row. */
export function logRowBytes({ old, new: after, properties }: LogRow): number {
  return 400 + (old?.length ?? 0) + (after?.length ?? 0) + (properties ? MAX_PROPERTIES : 0);
}

function bytesOf(value: unknown): Buffer {
  if (Buffer.isBuffer(value)) return value;
  return Buffer.from(typeof value === "string" ? value : "");
}

/** Null also for the YAML of before 2017, which begins with `---`. */
function propertiesOf(text: Buffer, whole: Span): Attributes | null {
  if (text.length > MAX_PROPERTIES || !isNoDeeperThan(text, MAX_DEPTH, whole)) return null;
  const value = parsed(text, whole);
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Attributes) : null;
}

/** Null where the attributes are not an object. */
function packed(text: Buffer, members: Map<string, Span> | null | undefined): Packed | null {
  if (!members) return null;
  const kept: Attributes = {};
  for (const name of KEPT) {
    const span = members.get(name);
    if (span === undefined || span.end - span.start > MAX_VALUE_BYTES) continue;
    const value = isComposite(text[span.start]) ? undefined : parsed(text, span);
    if (value === undefined || (typeof value === "string" && value.length > MAX_VALUE)) continue;
    kept[name] = value;
  }
  return JSON.stringify(kept);
}

/** The beginning of an object or array. */
function isComposite(byte: number | undefined): boolean {
  return byte === 0x7b || byte === 0x5b;
}

/** Undefined where it is not JSON. */
function parsed(text: Buffer, { start, end }: Span): unknown {
  try {
    return JSON.parse(text.toString("utf8", start, end));
  } catch {
    return undefined;
  }
}
