/**
 * The permission graph in memory, as of the last whole commit in GRAPH. Callout and gateway each have one.
 * Half a commit is never applied, at start neither: it can grant what Arvados never granted.
 */
import type { JetStreamClient, JetStreamManager, JsMsg } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { PermissionGraph } from "../core/graph/permission-graph.ts";
import type { Effect, GraphOptions } from "../core/graph/types.ts";
import { type CommitEntry, parseGraphEntry } from "../core/graph-entry.ts";
import { atLeast, NO_REVISION, type Revision } from "../core/revision.ts";
import type { GraphChange, PermissionChange } from "../core/rows.ts";
import type { Subjects } from "../core/subjects.ts";
import { TokenIndex, type TokenIndexOptions } from "../core/token-index.ts";
import { followStream, type StreamFollower } from "./stream-follower.ts";

/** One commit applied: who is affected. `commitTime` is UTC milliseconds in PostgreSQL. */
export type Applied = { revision: Revision; effect: Effect; touched: Set<string>; commitTime: number };

export type GraphFollowerOptions = {
  nc: NatsConnection;
  js: JetStreamClient;
  jsm: JetStreamManager;
  subjects: Subjects;
  graph: GraphOptions;
  tokens: TokenIndexOptions;
  onApplied: (applied: Applied) => void;
  onTrouble: (reason: string) => void;
};

export class GraphFollower {
  readonly graph: PermissionGraph;
  readonly tokens: TokenIndex;
  readonly #options: GraphFollowerOptions;
  #pending: GraphChange[] = [];
  #revision: Revision = NO_REVISION;
  #beat: number | null = null;
  #follower: StreamFollower | null = null;
  #waiters: { revision: Revision; resolve: () => void }[] = [];

  constructor(options: GraphFollowerOptions) {
    this.#options = options;
    this.graph = new PermissionGraph(options.graph);
    this.tokens = new TokenIndex(options.tokens);
  }

  get revision(): Revision {
    return this.#revision;
  }

  /** Milliseconds since the graph was last known to be complete; Infinity before the first time. */
  age(now: number): number {
    return this.#beat === null || this.#revision === NO_REVISION
      ? Number.POSITIVE_INFINITY
      : Math.max(0, now - this.#beat);
  }

  /** Starts following; resolves once a whole commit stands in memory. */
  async start(): Promise<void> {
    const { nc, js, jsm, subjects, onTrouble } = this.#options;
    nc.subscribe(subjects.graphBeat, {
      callback: (error, message) => {
        if (!error) this.#hearBeat(message.json<{ time: number; revision: Revision }>());
      },
    });
    this.#follower = followStream({
      js,
      jsm,
      stream: "GRAPH",
      onMessage: (message) => this.#take(message),
      onTrouble,
    });
    await this.reached({ epoch: 0, sequence: 1 });
  }

  /** Resolves when the graph stands at `revision` or later. */
  async reached(revision: Revision): Promise<void> {
    if (atLeast(this.#revision, revision)) return;
    await new Promise<void>((resolve) => {
      this.#waiters.push({ revision, resolve });
    });
  }

  async stop(): Promise<void> {
    await this.#follower?.stop();
  }

  /** A beat vouches for the graph up to its revision; it counts once that revision has been applied here. */
  #hearBeat({ time, revision }: { time: number; revision: Revision }): void {
    if (atLeast(this.#revision, revision)) this.#beat = Math.max(this.#beat ?? 0, time);
  }

  #take(message: JsMsg): void {
    if (message.subject === this.#options.subjects.graphCommit) return this.#commit(message.json(), message.seq);
    const change = parseGraphEntry(message.subject, message.string());
    if (change) this.#pending.push(change);
  }

  #commit(entry: CommitEntry, sequence: number): void {
    const changes = this.#pending;
    this.#pending = [];
    const effect = this.graph.apply(changes.filter(isPermissionChange));
    const touched = this.tokens.apply(changes);
    this.#revision = { epoch: entry.epoch, sequence };
    this.#options.onApplied({ revision: this.#revision, effect, touched, commitTime: entry.time });
    const due = this.#waiters.filter((waiter) => atLeast(this.#revision, waiter.revision));
    this.#waiters = this.#waiters.filter((waiter) => !due.includes(waiter));
    for (const waiter of due) waiter.resolve();
  }
}

function isPermissionChange(change: GraphChange): change is PermissionChange {
  return change.kind !== "token" && change.kind !== "container";
}
