/**
 * Entries of the BARRIER stream, whose order decides what a removal has to wait for:
 *
 *   lease.<replica>    a replica may answer logins for a while (sent again and again; `left` = the replica has stopped)
 *   mark               the bridge: a removal stands in GRAPH at this revision
 *   settled.<replica>  no login this replica answered below the mark can still become a session
 *   cut                no session older than the mark lives
 *   alias.<session>    which stored token a session's token is, where its name does not say so (OIDC), or what the Arvados API
 *                      says about it, if it has no row
 *   server.<name>      a nats-server that has been seen (`id: null` = an admin declares it gone)
 */

import { formatRevision, parseRevision, type Revision } from "../revision.ts";
import type { Subjects } from "../subjects.ts";
import type { Alias, Voucher } from "../token/aliases.ts";
import { reduceScopes } from "../token/scopes.ts";

export type Lease = {
  kind: "lease";
  replica: string;
  /** BARRIER sequence of the first lease of this unbroken tenure; null = this is the first. */
  since: number | null;
  /** The holder's own clock before it sent this, from which it counts. Means nothing to anybody else. */
  sent: number;
  /** Its graph is fresh enough to let people in. */
  fit: boolean;
  left: boolean;
  /** Its connection in the queue group: who dies without closing it is taken out of the group there. */
  at?: { server: string; cid: number };
};
export type Mark = { kind: "mark"; revision: Revision };
/** `mark` is the BARRIER sequence of the mark that is answered, here and in `cut`. */
export type Settled = { kind: "settled"; replica: string; mark: number };
export type Cut = { kind: "cut"; mark: number };
export type ServerSeen = { kind: "server"; name: string; id: string | null };

export type BarrierEntry = Lease | Mark | Settled | Cut | ServerSeen | ({ kind: "alias" } & Alias);

export function barrierSubject(subjects: Subjects, entry: BarrierEntry): string {
  switch (entry.kind) {
    case "lease":
      return subjects.barrierLease(entry.replica);
    case "mark":
      return subjects.barrierMark;
    case "settled":
      return subjects.barrierSettled(entry.replica);
    case "cut":
      return subjects.barrierCut;
    case "server":
      return subjects.barrierServer(entry.name);
    case "alias":
      return subjects.barrierAlias(entry.session);
  }
}

export function formatBarrierEntry(entry: BarrierEntry): string {
  return JSON.stringify(entry.kind === "mark" ? { kind: "mark", revision: formatRevision(entry.revision) } : entry);
}

/** Null for what is no entry: a reader passes over what a newer version may have added. */
export function parseBarrierEntry(body: string): BarrierEntry | null {
  let raw: Record<string, unknown>;
  try {
    raw = (JSON.parse(body) ?? {}) as Record<string, unknown>;
  } catch {
    return null;
  }
  const { kind, replica, since, sent, fit, left, at, mark, name, id, session, token, voucher } = raw;
  const named = typeof replica === "string" && replica !== "";
  if (kind === "lease" && named && typeof sent === "number") {
    const place = connectionOf(at);
    const lease = { kind, replica, sent, since: numberOrNull(since), fit: fit === true, left: left === true } as const;
    return place ? { ...lease, at: place } : lease;
  }
  if (kind === "mark" && typeof raw.revision === "string") {
    const revision = parseRevision(raw.revision);
    return revision && { kind, revision };
  }
  if (kind === "settled" && named && typeof mark === "number") return { kind, replica, mark };
  if (kind === "cut" && typeof mark === "number") return { kind, mark };
  if (kind === "server" && typeof name === "string" && (typeof id === "string" || id === null)) {
    return { kind, name, id };
  }
  if (kind === "alias" && typeof session === "string" && typeof token === "string") {
    if (voucher === undefined) return { kind, session, token };
    if (!isVoucher(voucher) || voucher.token !== token) return null;
    const { scopes, over } = reduceScopes(voucher.scopes);
    const { user, until } = voucher;
    return { kind, session, token, voucher: { token, user, scopes, until, ...(over ? { scopes_over: true } : {}) } };
  }
  return null;
}

function isVoucher(value: unknown): value is Voucher {
  const { token, user, scopes, until } = (value ?? {}) as Record<string, unknown>;
  const named = typeof token === "string" && typeof user === "string" && typeof until === "number";
  return named && Array.isArray(scopes) && scopes.every((scope) => typeof scope === "string");
}

function numberOrNull(value: unknown): number | null {
  return typeof value === "number" ? value : null;
}

function connectionOf(value: unknown): Lease["at"] | null {
  const { server, cid } = (value ?? {}) as { server?: unknown; cid?: unknown };
  return typeof server === "string" && typeof cid === "number" ? { server, cid } : null;
}
