/** The replication slot and the place in history it belongs to: which database, which timeline, from which position on. */
import pg from "pg";
import { fault } from "../../core/errors.ts";
import { type Lsn, parseLsn } from "../../core/lsn.ts";
import { sessionConfig } from "../../runtime/postgres-session.ts";
import { serverVersion } from "./catalog.ts";
import { connectFault, type DatabaseTarget } from "./preflight.ts";

/** Which PostgreSQL this is, as IDENTIFY_SYSTEM answers: the cluster's system identifier and its timeline. */
export type SystemIdentity = { id: string; timeline: number };

export type Slot = {
  /** PostgreSQL may send what was committed from here on. */
  confirmed: Lsn;
  /** It was lost and created again: what was committed in between never comes. */
  isNew: boolean;
};

type SlotRow = { confirmed: string | null; wal_status: string | null; plugin: string; active_pid: number | null };

/** From PostgreSQL 17 on standbys may be told to keep a copy of it (`sync_replication_slots`). */
const FAILOVER_SLOTS_SINCE = 170_000;

export function slotSql(name: string, serverVersion: number): string {
  const options = serverVersion >= FAILOVER_SLOTS_SINCE ? ", failover => true" : "";
  return `SELECT pg_create_logical_replication_slot(${pg.escapeLiteral(name)}, 'pgoutput'${options})`;
}

/**
 * The slot as it is; one that is missing or no longer usable is created again.
 * @param isUnreadable what it keeps cannot be decoded
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
  const made = await readSlot(client, name);
  return { confirmed: parseLsn(made?.confirmed ?? "0/0"), isNew: true };
}

/** How far PostgreSQL has been told to forget. Once we are the reader, nobody else moves it. */
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

/** Asked over a replication connection: what ordinary SQL tells of the timeline lags behind a promotion. */
export async function identifySystem(target: DatabaseTarget): Promise<SystemIdentity & { lsn: Lsn }> {
  // `replication` is missing in the driver's types.
  const options = { ...sessionConfig(target, "arvados-nats"), replication: "database" } as pg.ClientConfig;
  const client = new pg.Client(options);
  client.on("error", () => {}); // Told by the query that fails.
  try {
    await client.connect();
    const { rows } = await client.query<{ systemid: string; timeline: number; xlogpos: string }>("IDENTIFY_SYSTEM");
    const [row] = rows;
    if (!row) throw new Error("IDENTIFY_SYSTEM says nothing");
    return { id: String(row.systemid), timeline: Number(row.timeline), lsn: parseLsn(row.xlogpos) };
  } catch (error) {
    throw connectFault(target, error);
  } finally {
    await client.end().catch(() => {});
  }
}
