/**
 * The logical replication feed: whole commits in order, with back-pressure. A position is confirmed only when the caller asks for it.
 *
 * The library by itself confirms LSN + 1 (a commit record that starts right behind would be skipped after a restart), confirms what was
 * merely received, and reports keepalives before messages that it still queues. So automatic confirmation is off, and commits pass through
 * one queue with the keepalives.
 */
import pg from "pg";
import { LogicalReplicationService } from "pg-logical-replication";
import { fault, reasonOf } from "../../core/errors.ts";
import { formatLsn, type Lsn, parseLsn } from "../../core/lsn.ts";
import { deferred } from "../../runtime/deferred.ts";
import { sessionConfig } from "../../runtime/postgres-session.ts";
import { PgoutputReader } from "../postgres/pgoutput.ts";
import { Pgoutput } from "../postgres/replication-plugin.ts";
import { type Commit, CommitAssembler, closeCommit, columnForms } from "./commit.ts";

/** Times stay text: pg would read a `timestamp without time zone` in the time zone of the process. */
const TIMESTAMP = 1114;
pg.types.setTypeParser(TIMESTAMP, (text) => text);

/** SQLSTATE. */
const OBJECT_IN_USE = "55006";
const UNDEFINED_OBJECT = "42704";
const NOT_IN_PREREQUISITE_STATE = "55000";

/** The socket is paused while more rows than this wait here in whole commits. */
const HIGH_WATER = 5_000;

export type ReplicationOptions = {
  connection: pg.ClientConfig;
  slot: string;
  publications: readonly string[];
  /** Where Arvados' tables are. */
  schema: string;
  /** Called with one commit at a time. */
  onCommit: (commit: Commit) => Promise<void>;
  /** onCommit has ended for everything up to this position. */
  onPassed: (lsn: Lsn) => void;
  /** There are no commits up to this position but those that onCommit got. */
  onQuiet: (lsn: Lsn) => void;
};

type Item = { commit: Commit } | { keepalive: Lsn };

export class Replication {
  readonly #options: ReplicationOptions;
  readonly #service: LogicalReplicationService;
  readonly #reader: PgoutputReader;
  readonly #assembler = new CommitAssembler();
  readonly #ended = deferred<Error | null>();
  #queue: Item[] = [];
  /** Rows in the queue. */
  #waiting = 0;
  /** Commits in the queue. */
  #commitsWaiting = 0;
  #draining = false;
  #paused = false;
  #stopped = false;

  /** Resolves when PostgreSQL sends. @throws slot.busy, slot.lost */
  static async open(options: ReplicationOptions): Promise<Replication> {
    const replication = new Replication(options);
    await replication.#start();
    return replication;
  }

  private constructor(options: ReplicationOptions) {
    this.#options = options;
    this.#service = new LogicalReplicationService(sessionConfig(options.connection, "arvados-nats bridge"), {
      acknowledge: { auto: false, timeoutSeconds: 0 },
    });
    this.#reader = new PgoutputReader((schema, table) => (schema === options.schema ? columnForms(table) : null));
  }

  /** Settles when the feed ends: with the error that ended it, or with null after stop(). */
  get ended(): Promise<Error | null> {
    return this.#ended.promise;
  }

  /** PostgreSQL need not keep WAL before `lsn`, and this reader is alive. With `ping` PostgreSQL answers at once how far it has read. */
  async confirm(lsn: Lsn, ping: boolean): Promise<void> {
    // The library adds one.
    if (lsn > 0n) await this.#service.acknowledge(formatLsn(lsn - 1n), ping);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#assembler.close();
    this.#ended.resolve(null);
    await this.#service.destroy();
  }

  #start(): Promise<void> {
    const { publications, slot } = this.#options;
    this.#service.on("data", (_lsn: string, data: Buffer) => this.#onData(data));
    this.#service.on("heartbeat", (lsn: string) => this.#onKeepalive(parseLsn(lsn)));
    this.#service.on("error", (error) => this.#fail(error));
    return new Promise<void>((resolve, reject) => {
      this.#service.on("start", () => resolve());
      this.#service.subscribe(new Pgoutput(publications), slot).then(
        () => this.#ended.resolve(this.#stopped ? null : new Error("the replication connection ended")),
        async (error) => {
          this.#fail(streamFault(error, slot));
          // The library leaves the connection open, and PostgreSQL allows few of them (max_wal_senders).
          await this.#service.destroy().catch(() => {});
          reject(replicationFault(error, slot));
        },
      );
    });
  }

  #onData(data: Buffer): void {
    if (this.#stopped) return;
    try {
      const message = this.#reader.read(data);
      const commit = message && this.#assembler.add(message);
      if (commit) this.#push({ commit });
    } catch (error) {
      this.#fail(error);
    }
  }

  #onKeepalive(keepalive: Lsn): void {
    if (this.#stopped) return;
    if (this.#commitsWaiting === 0) this.#options.onQuiet(keepalive);
    this.#push({ keepalive });
  }

  #push(item: Item): void {
    this.#queue.push(item);
    if ("commit" in item) this.#commitsWaiting++;
    this.#waiting += weightOf(item);
    if (this.#waiting > HIGH_WATER) this.#setPaused(true);
    void this.#drain();
  }

  async #drain(): Promise<void> {
    if (this.#draining) return;
    this.#draining = true;
    while (this.#queue.length > 0) {
      const batch = this.#queue;
      this.#queue = [];
      for (const item of batch) {
        // A commit that is being handled does not count as waiting, however long it takes: keepalives still arrive.
        this.#waiting -= weightOf(item);
        if ("commit" in item) this.#commitsWaiting--;
        if (this.#waiting < HIGH_WATER / 2) this.#setPaused(false);
        if (this.#stopped) release(item);
        else await this.#handle(item).catch((error) => this.#fail(error));
      }
    }
    this.#draining = false;
  }

  async #handle(item: Item): Promise<void> {
    const { onPassed, onCommit } = this.#options;
    if ("keepalive" in item) return onPassed(item.keepalive);
    const { commit } = item;
    try {
      await onCommit(commit);
    } finally {
      closeCommit(commit);
    }
    onPassed(commit.lsn);
  }

  #setPaused(paused: boolean): void {
    if (this.#paused === paused) return;
    this.#paused = paused;
    // biome-ignore lint/complexity/useLiteralKeys: the library offers no other way to its socket
    const stream = this.#service["_connection"]?.stream;
    if (paused) stream?.pause();
    else stream?.resume();
  }

  #fail(error: unknown): void {
    this.#stopped = true;
    this.#assembler.close();
    this.#ended.resolve(error instanceof Error ? error : new Error(String(error)));
  }
}

function release(item: Item): void {
  if ("commit" in item) closeCommit(item.commit);
}

function weightOf(item: Item): number {
  return "keepalive" in item ? 1 : 1 + item.commit.rows.length + item.commit.logs.length;
}

/**
 * PostgreSQL 17 and older decode a commit by the publications at its time, and stop for good at a commit from a time when one did not exist.
 * The publication is the only named object that a running stream needs.
 */
function streamFault(error: unknown, slot: string): unknown {
  if ((error as { code?: string }).code !== UNDEFINED_OBJECT) return error;
  return fault("slot.unreadable", { slot, reason: reasonOf(error) }, { cause: error });
}

function replicationFault(error: unknown, slot: string): Error {
  const reason = reasonOf(error);
  // By its code: PostgreSQL writes the message in the administrator's language.
  const { code } = error as { code?: string };
  if (code === OBJECT_IN_USE) {
    const pid = /(\d+)\D*$/.exec(reason)?.[1] ?? "unknown";
    return fault("slot.busy", { slot, pid }, { cause: error });
  }
  // The slot was lost after it was checked: the next try creates it again.
  if (code === UNDEFINED_OBJECT || code === NOT_IN_PREREQUISITE_STATE) {
    return fault("slot.lost", { slot, reason }, { cause: error });
  }
  return error instanceof Error ? error : new Error(reason);
}
