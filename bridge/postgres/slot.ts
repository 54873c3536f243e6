/** The replication slot, and the history that it belongs to: which database system, which timeline, from which position. */
import pg from "pg";
import { fault } from "../../core/errors.ts";
import { type Lsn, parseLsn } from "../../core/lsn.ts";
import { sessionConfig } from "../../runtime/postgres-session.ts";
import { serverVersion } from "./catalog.ts";
import { connectFault, type DatabaseTarget } from "./preflight.ts";

/** Which PostgreSQL this is, as IDENTIFY_SYSTEM answers: the cluster's system identifier and its timeline. */
export type SystemIdentity = { id: string; timeline: number };

export type Slot = {
  /** PostgreSQL sends commits from this position on. */
  confirmed: Lsn;
  /** It was lost and created again: commits in between are never sent. */
  isNew: boolean;
};

type SlotRow = { confirmed: string | null; wal_status: string | null; plugin: string; active_pid: number | null };

/** From PostgreSQL 17 on a standby can keep a copy of the slot (`sync_replication_slots`). */
const FAILOVER_SLOTS_SINCE = 170_000;

export function slotSql(name: string, serverVersion: number): string {
  const options = serverVersion >= FAILOVER_SLOTS_SINCE ? ", failover => true" : "";
  return `SELECT pg_create_logical_replication_slot(${pg.escapeLiteral(name)}, 'pgoutput'${options})`;
}

/**
 * The slot. A missing or unusable one is created again.
 * @param isUnreadable PostgreSQL cannot decode what the slot keeps
 */
export async function ensureSlot(client: pg.Client, name: string, isUnreadable = false): Promise<Slot> {
  const found = await readSlot(client, name);
  if (found && found.wal_status !== "lost" && !isUnreadable)
    return { confirmed: parseLsn(found.confirmed ?? "0/0"), isNew: false };
  if (found) {
    if (found.active_pid !== null) throw fault("slot.busy", { slot: name, pid: found.active_pid });
    await client.query("SELECT pg_drop_replication_slot($1)", [name]);
  }
  await client.query(slotSql(name, await serverVersion(client)));
  const created = await readSlot(client, name);
  return { confirmed: parseLsn(created?.confirmed ?? "0/0"), isNew: true };
}

/** The confirmed position. While this bridge reads the slot, no other one moves it. */
export async function confirmedPosition(client: pg.Client, name: string): Promise<Lsn> {
  return parseLsn((await readSlot(client, name))?.confirmed ?? "0/0");
}

async function readSlot(client: pg.Client, name: string): Promise<SlotRow | undefined> {
  const { rows } = await client.query<SlotRow>(
    `SELECT confirmed_flush_lsn::text AS confirmed, wal_status, plugin, active_pid FROM pg_replication_slots
     WHERE slot_name = $1 AND database = current_database()`,
    [name],
  );
  return rows[0];
}

/** Over a replication connection: after a promotion ordinary SQL still shows the old timeline for a while. */
export async function identifySystem(target: DatabaseTarget): Promise<SystemIdentity & { lsn: Lsn }> {
  // The driver's types lack `replication`.
  const options = { ...sessionConfig(target, "arvados-nats"), replication: "database" } as pg.ClientConfig;
  const client = new pg.Client(options);
  client.on("error", () => {}); // The query that fails reports it.
  try {
    await client.connect();
    const { rows } = await client.query<{ systemid: string; timeline: number; xlogpos: string }>("IDENTIFY_SYSTEM");
    const [row] = rows;
    if (!row) throw new Error("IDENTIFY_SYSTEM returned no row");
    return { id: String(row.systemid), timeline: Number(row.timeline), lsn: parseLsn(row.xlogpos) };
  } catch (error) {
    throw connectFault(target, error);
  } finally {
    await client.end().catch(() => {});
  }
}
