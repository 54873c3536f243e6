/** Messages of the GRAPH stream: one row's new value each, and the entry that ends a commit. */
import type { GraphChange, GraphKind } from "./rows.ts";

const KINDS: readonly string[] = ["user", "group", "link", "owner", "cr", "token", "container"] satisfies GraphKind[];

/** Body of `graph.commit`: what came before it is whole. Which database it speaks of lets a reader tell epochs apart. */
export type CommitEntry = {
  epoch: number;
  lsn: string;
  /** UTC milliseconds of the commit in PostgreSQL. */
  time: number;
  /** IDENTIFY_SYSTEM of the database, so that another one is noticed. */
  system: { id: string; timeline: number };
};

/** The row change in a message on `graph.<kind>.<uuid>`; null for a subject or body that is none. */
export function parseGraphEntry(subject: string, body: string): GraphChange | null {
  const [, , , kind = ""] = subject.split(".");
  if (!KINDS.includes(kind)) return null;
  const { uuid, row } = JSON.parse(body) as { uuid?: unknown; row?: unknown };
  if (typeof uuid !== "string" || typeof row !== "object") return null;
  return { kind, uuid, row } as GraphChange;
}

export function formatGraphEntry(change: GraphChange): string {
  return JSON.stringify({ uuid: change.uuid, row: change.row });
}
