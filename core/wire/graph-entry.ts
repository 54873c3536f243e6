/**
 * Messages of the GRAPH stream: one row's new value each, and the entry that ends a commit. Another version may have written them: what
 * has not the shape of a row denies, as if the row were deleted, and no message makes these functions throw.
 */
import type { Revision } from "../revision.ts";
import type { ContainerRow, GraphChange, GraphKind, GraphRows } from "../rows.ts";
import { rowOfGraph, subjectToken, textOfToken } from "../subjects.ts";
import { reduceScopes } from "../token/scopes.ts";

/** Body of `graph.commit`: what came before it is whole. Which database it speaks of lets a reader tell epochs apart. */
export type CommitEntry = {
  epoch: number;
  lsn: string;
  /** UTC milliseconds of the commit in PostgreSQL. */
  time: number;
  /** IDENTIFY_SYSTEM of the database, so that another one is noticed. */
  system: { id: string; timeline: number };
};

/** `unreadable`: the row has not the shape of one, and `change` says what denies. */
export type GraphEntry = { change: GraphChange; unreadable: boolean };

type Fields = Record<string, unknown>;
/**
 * By kind: is it a row? What else stands in it, `id` for one, is the bridge's alone. A row is kept as it was written, so that the
 * bridge finds what it wrote.
 */
const IS_ROW: { [K in GraphKind]: (row: Fields) => boolean } = {
  user: ({ owner_uuid, is_admin, is_active, redirect_to_user_uuid }) =>
    isText(owner_uuid) && isBoolean(is_admin) && isBoolean(is_active) && isTextOrNull(redirect_to_user_uuid),
  group: ({ owner_uuid, group_class, trash_at, frozen_by_uuid }) =>
    isText(owner_uuid) && isTextOrNull(group_class) && isTimeOrNull(trash_at) && isTextOrNull(frozen_by_uuid),
  link: ({ tail_uuid, head_uuid, name }) => isText(tail_uuid) && isText(head_uuid) && isText(name),
  owner: ({ owner_uuid }) => isText(owner_uuid),
  cr: ({ owner_uuid, container_uuid }) => isText(owner_uuid) && isTextOrNull(container_uuid),
  token: ({ user_uuid, scopes, expires_at, refreshes_at, secret_sha256, salted_sha256 }) =>
    isText(user_uuid) &&
    Array.isArray(scopes) &&
    isTimeOrNull(expires_at) &&
    isTimeOrNull(refreshes_at) &&
    // Without an `api_token` in its row a token has no hash.
    isText(secret_sha256) &&
    /^[0-9a-f]*$/.test(secret_sha256) &&
    isText(salted_sha256),
  container: ({ state, auth_uuid, runtime_token_sha256 }) =>
    isText(state) && isTextOrNull(auth_uuid) && isTextOrNull(runtime_token_sha256),
};

/** A deleted container admits any token that names it (container-index.ts). An unreadable one admits none. */
const ADMITS_NONE: Omit<ContainerRow, "id" | "uuid"> = {
  state: "unreadable",
  auth_uuid: null,
  runtime_token_sha256: null,
};

/** What a message on `graph.<kind>.<uuid>` says; null on any other subject. */
export function readGraphEntry(subject: string, body: string): GraphEntry | null {
  const { kind = "", name = "" } = rowOfGraph(subject) ?? {};
  if (!isKind(kind)) return null;
  const fields = fieldsOf(body);
  const uuid = isText(fields?.uuid) && subjectToken(fields.uuid) === name ? fields.uuid : null;
  if (uuid !== null && fields?.row === null) return { change: { kind, uuid, row: null }, unreadable: false };
  const row = uuid === null ? null : rowOf(kind, fields?.row, uuid);
  if (uuid !== null && row) return { change: { kind, uuid, row } as GraphChange, unreadable: false };
  return { change: denyingChange(kind, uuid ?? textOfToken(name)), unreadable: true };
}

/** The row change in a message on `graph.<kind>.<uuid>`, which may be what denies; null on any other subject. */
export function parseGraphEntry(subject: string, body: string): GraphChange | null {
  return readGraphEntry(subject, body)?.change ?? null;
}

export function formatGraphEntry(change: GraphChange): string {
  return JSON.stringify({ uuid: change.uuid, row: change.row });
}

/** The entry that ends a commit; null for what is none. Only `epoch` counts for what may be read. */
export function parseCommitEntry(body: string): CommitEntry | null {
  const fields = fieldsOf(body);
  const { epoch, lsn, time, system } = fields ?? {};
  if (!Number.isSafeInteger(epoch)) return null;
  const { id, timeline } = (system ?? {}) as Fields;
  return {
    epoch: epoch as number,
    lsn: isText(lsn) ? lsn : "0/0",
    time: isTime(time) ? time : 0,
    system: { id: isText(id) ? id : "", timeline: isTime(timeline) ? timeline : 0 },
  };
}

/** Body of a beat: the graph is complete up to `revision` as of `time`, UTC milliseconds; null for what is none. */
export function parseBeat(body: string): { time: number; revision: Revision } | null {
  const fields = fieldsOf(body);
  const { epoch, sequence } = (fields?.revision ?? {}) as Fields;
  if (!isTime(fields?.time) || !Number.isSafeInteger(epoch) || !Number.isSafeInteger(sequence)) return null;
  return { time: fields.time, revision: { epoch: epoch as number, sequence: sequence as number } };
}

/** Stands for a row that cannot be read or stored: it gives nobody a right. */
export function denyingChange(kind: GraphKind, uuid: string): GraphChange {
  if (kind === "container") return { kind, uuid, row: { id: 0, uuid, ...ADMITS_NONE } };
  return { kind, uuid, row: null } as GraphChange;
}

/** Has it the shape of a row of this kind and uuid? */
export function isGraphRow(kind: string, uuid: string, row: unknown): boolean {
  return isKind(kind) && isFields(row) && row.uuid === uuid && IS_ROW[kind](row);
}

function rowOf(kind: GraphKind, row: unknown, uuid: string): GraphRows[GraphKind] | null {
  if (!isFields(row) || row.uuid !== uuid || !IS_ROW[kind](row)) return null;
  return (kind === "token" ? withReducedScopes(row) : row) as GraphRows[GraphKind];
}

/** An older bridge has stored scopes as they were. */
function withReducedScopes(row: Fields): Fields {
  const { scopes, over } = reduceScopes(row.scopes);
  if (over || row.scopes_over !== undefined) return { ...row, scopes, scopes_over: true };
  const isReduced = scopes.length === (row.scopes as unknown[]).length;
  return isReduced ? row : { ...row, scopes };
}

function fieldsOf(body: string): Fields | null {
  try {
    const value: unknown = JSON.parse(body);
    return isFields(value) ? value : null;
  } catch {
    return null;
  }
}

function isKind(kind: string): kind is GraphKind {
  return Object.hasOwn(IS_ROW, kind);
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

function isTextOrNull(value: unknown): value is string | null {
  return value === null || isText(value);
}

function isBoolean(value: unknown): value is boolean {
  return typeof value === "boolean";
}

function isTime(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}

function isTimeOrNull(value: unknown): value is number | null {
  return value === null || isTime(value);
}
