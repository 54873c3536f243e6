/**
 * The logical replication feed: whole commits in order, with back-pressure, and positions confirmed only when told so.
 *
 * What the library leaves to its user: it confirms LSN + 1 (a commit record that starts right behind would be skipped after a
 * restart), confirms what was merely received, and reports keepalives ahead of messages it still queues. So automatic confirmation
 * is off; commits are assembled as their messages come, and pass through one queue with the keepalives.
 */
import pg from "pg";
import { LogicalReplicationService } from "pg-logical-replication";
import { fault, reasonOf } from "../../core/errors.ts";
import { formatLsn, type Lsn, parseLsn } from "../../core/lsn.ts";
import { sessionConfig } from "../../runtime/postgres-session.ts";
import { PgoutputReader } from "../postgres/pgoutput.ts";
import { Pgoutput } from "../postgres/replication-plugin.ts";
import { type Commit, CommitAssembler, closeCommit, columnForms } from "./commit.ts";

/** Times stay text: pg would read `timestamp without time zone` in the process's own zone. */
const TIMESTAMP = 1114;
pg.types.setTypeParser(TIMESTAMP, (text) => text);

/** SQLSTATE. */
const OBJECT_IN_USE = "55006";
const UNDEFINED_OBJECT = "42704";
const NOT_IN_PREREQUISITE_STATE = "55000";

/** Rows of whole commits waiting here before the socket is paused. */
const HIGH_WATER = 5_000;

export type ReplicationOptions = {
  connection: pg.ClientConfig;
  slot: string;
  publications: readonly string[];
  /** Where Arvados' tables are. */
  schema: string;
  /** Called one at a time; what it awaits holds the feed back. */
  onCommit: (commit: Commit) => Promise<void>;
  /** Everything up to this position has been through onCommit. */
  onPassed: (lsn: Lsn) => void;
  /** Nothing was committed up to this position but what has been through onCommit, or is being handled there. */
  onQuiet: (lsn: Lsn) => void;
};

export type Replication = {
  /** Tells PostgreSQL that it need not keep WAL before `lsn`, and that we live. With `ping` it says at once how far it has read. */
  confirm(lsn: Lsn, ping: boolean): Promise<void>;
  /** Settles when the feed ends: with the error that ended it, or null after stop(). */
  ended: Promise<Error | null>;
  stop(): Promise<void>;
};

type Item = { commit: Commit } | { keepalive: Lsn };

export async function openReplication(options: ReplicationOptions): Promise<Replication> {
  const service = new LogicalReplicationService(sessionConfig(options.connection, "arvados-nats bridge"), {
    acknowledge: { auto: false, timeoutSeconds: 0 },
  });
  const plugin = new Pgoutput(options.publications);
  const reader = new PgoutputReader((schema, table) => (schema === options.schema ? columnForms(table) : null));
  const assembler = new CommitAssembler();
  let queue: Item[] = [];
  let waiting = 0;
  /** That nobody has begun to handle. */
  let commitsWaiting = 0;
  let draining = false;
  let paused = false;
  let stopped = false;
  let end: (error: Error | null) => void = () => {};
  const ended = new Promise<Error | null>((resolve) => {
    end = resolve;
  });
  const fail = (error: unknown) => {
    stopped = true;
    assembler.close();
    end(error instanceof Error ? error : new Error(String(error)));
  };

  const setPaused = (value: boolean) => {
    if (paused === value) return;
    paused = value;
    // biome-ignore lint/complexity/useLiteralKeys: the library offers no other way to its socket
    const stream = service["_connection"]?.stream;
    if (value) stream?.pause();
    else stream?.resume();
  };

  const take = async (item: Item) => {
    if ("keepalive" in item) return options.onPassed(item.keepalive);
    const { commit } = item;
    try {
      await options.onCommit(commit);
    } finally {
      closeCommit(commit);
    }
    options.onPassed(commit.lsn);
  };

  const drain = async () => {
    if (draining) return;
    draining = true;
    while (queue.length > 0) {
      const batch = queue;
      queue = [];
      for (const item of batch) {
        // What is being handled does not wait, however long that takes: meanwhile keepalives are heard.
        waiting -= weightOf(item);
        if ("commit" in item) commitsWaiting--;
        if (waiting < HIGH_WATER / 2) setPaused(false);
        if (stopped) release(item);
        else await take(item).catch(fail);
      }
    }
    draining = false;
  };

  const push = (item: Item) => {
    queue.push(item);
    if ("commit" in item) commitsWaiting++;
    waiting += weightOf(item);
    if (waiting > HIGH_WATER) setPaused(true);
    void drain();
  };

  service.on("data", (_lsn: string, data: Buffer) => {
    if (stopped) return;
    try {
      const message = reader.read(data);
      const commit = message && assembler.add(message);
      if (commit) push({ commit });
    } catch (error) {
      fail(error);
    }
  });
  service.on("heartbeat", (lsn: string) => {
    if (stopped) return;
    const keepalive = parseLsn(lsn);
    if (commitsWaiting === 0) options.onQuiet(keepalive);
    push({ keepalive });
  });
  service.on("error", fail);

  await new Promise<void>((resolve, reject) => {
    service.on("start", () => resolve());
    service.subscribe(plugin, options.slot).then(
      () => end(stopped ? null : new Error("the replication connection ended")),
      async (error) => {
        fail(streamFault(error, options.slot));
        // The library leaves the connection open, and PostgreSQL has few places for them (max_wal_senders).
        await service.destroy().catch(() => {});
        reject(replicationFault(error, options.slot));
      },
    );
  });

  return {
    ended,
    async confirm(lsn, ping) {
      // The library adds one.
      if (lsn > 0n) await service.acknowledge(formatLsn(lsn - 1n), ping);
    },
    async stop() {
      stopped = true;
      assembler.close();
      end(null);
      await service.destroy();
    },
  };
}

function release(item: Item): void {
  if ("commit" in item) closeCommit(item.commit);
}

function weightOf(item: Item): number {
  return "keepalive" in item ? 1 : 1 + item.commit.rows.length + item.commit.logs.length;
}

/**
 * PostgreSQL 17 and older decode by the publications of then, and stop for ever at a commit of a time when one was not there: its name is the only
 * thing by which a running stream can miss something.
 */
function streamFault(error: unknown, slot: string): unknown {
  if ((error as { code?: string }).code !== UNDEFINED_OBJECT) return error;
  return fault("slot.unreadable", { slot, reason: reasonOf(error) }, { cause: error });
}

function replicationFault(error: unknown, slot: string): Error {
  const reason = reasonOf(error);
  // By its code: PostgreSQL says the rest in the language of its administrator.
  const { code } = error as { code?: string };
  if (code === OBJECT_IN_USE) {
    const pid = /(\d+)\D*$/.exec(reason)?.[1] ?? "unknown";
    return fault("slot.busy", { slot, pid }, { cause: error });
  }
  // It was lost between our look and its start: the next try creates it again.
  if (code === UNDEFINED_OBJECT || code === NOT_IN_PREREQUISITE_STATE) {
    return fault("slot.lost", { slot, reason }, { cause: error });
  }
  return error instanceof Error ? error : new Error(reason);
}
