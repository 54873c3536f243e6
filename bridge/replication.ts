/**
 * The logical replication feed: whole commits in order, with back-pressure, and positions confirmed only when told so.
 *
 * What the library leaves to its user: it confirms LSN + 1 (a commit record that starts right behind would be skipped after a
 * restart), confirms what was merely received, and reports keepalives ahead of messages it still queues. So automatic confirmation
 * is off, and messages and keepalives pass through one queue here.
 */
import pg from "pg";
import { LogicalReplicationService, PgoutputPlugin } from "pg-logical-replication";
import { fault, reasonOf } from "../core/errors.ts";
import { formatLsn, type Lsn, parseLsn } from "../core/lsn.ts";
import { type Commit, CommitAssembler, type PgMessage } from "./commit.ts";

/** Times stay text: pg would read `timestamp without time zone` in the process's own zone. */
const TIMESTAMP = 1114;
pg.types.setTypeParser(TIMESTAMP, (text) => text);

/** Messages waiting here before the socket is paused. */
const HIGH_WATER = 10_000;

export type ReplicationOptions = {
  connection: pg.ClientConfig;
  slot: string;
  publications: readonly string[];
  /** Called one at a time; what it awaits holds the feed back. */
  onCommit: (commit: Commit) => Promise<void>;
  /** Everything up to this position has been through onCommit. */
  onPassed: (lsn: Lsn) => void;
};

export type Replication = {
  /** Tells PostgreSQL that it need not keep WAL before `lsn`; with `ping` it answers with a keepalive at once. */
  confirm(lsn: Lsn, ping: boolean): Promise<void>;
  /** Settles when the feed ends: with the error that ended it, or null after stop(). */
  ended: Promise<Error | null>;
  stop(): Promise<void>;
};

type Item = { message: PgMessage } | { keepalive: Lsn };

export async function openReplication(options: ReplicationOptions): Promise<Replication> {
  const service = new LogicalReplicationService(options.connection, {
    acknowledge: { auto: false, timeoutSeconds: 0 },
  });
  const plugin = new PgoutputPlugin({ protoVersion: 1, publicationNames: [...options.publications] });
  const assembler = new CommitAssembler();
  let incoming: Item[] = [];
  let waiting = 0;
  let draining = false;
  let paused = false;
  let stopped = false;
  let end: (error: Error | null) => void = () => {};
  const ended = new Promise<Error | null>((resolve) => {
    end = resolve;
  });

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
    const commit = assembler.take(item.message);
    if (!commit) return;
    await options.onCommit(commit);
    options.onPassed(commit.lsn);
  };

  const drain = async () => {
    if (draining) return;
    draining = true;
    try {
      while (incoming.length > 0 && !stopped) {
        const batch = incoming;
        incoming = [];
        for (const item of batch) {
          if (stopped) return;
          await take(item);
          waiting--;
        }
        if (waiting < HIGH_WATER / 2) setPaused(false);
      }
    } catch (error) {
      end(error instanceof Error ? error : new Error(String(error)));
      stopped = true;
    } finally {
      draining = false;
    }
  };

  const push = (item: Item) => {
    if (stopped) return;
    incoming.push(item);
    if (++waiting > HIGH_WATER) setPaused(true);
    void drain();
  };

  service.on("data", (_lsn: string, message: PgMessage) => push({ message }));
  service.on("heartbeat", (lsn: string) => push({ keepalive: parseLsn(lsn) }));
  service.on("error", (error: Error) => end(error));

  await new Promise<void>((resolve, reject) => {
    service.on("start", () => resolve());
    service.subscribe(plugin, options.slot).then(
      () => end(stopped ? null : new Error("the replication connection ended")),
      (error) => {
        reject(replicationFault(error, options.slot));
        end(error instanceof Error ? error : new Error(String(error)));
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
      await service.destroy();
      end(null);
    },
  };
}

function replicationFault(error: unknown, slot: string): Error {
  const reason = reasonOf(error);
  const busy = /is active for PID (\d+)/.exec(reason);
  if (busy) return fault("slot.busy", { slot, pid: busy[1] as string }, { cause: error });
  if (/replication slot .* does not exist/.test(reason)) {
    return fault("postgres.not_set_up", { database: "", what: `replication slot ${slot}` }, { cause: error });
  }
  return error instanceof Error ? error : new Error(reason);
}
