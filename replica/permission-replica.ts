/**
 * The permission graph in memory, as of the last whole commit in GRAPH, and the aliases of session tokens. Callout and gateway each have
 * one; commands load a graph once (load-graph.ts).
 * Half a commit is never applied, also not at the start: it can grant what Arvados never granted. A commit that cannot be applied is not
 * left out: nothing in memory counts any more, and GRAPH is read again.
 */
import type { JetStreamClient, JetStreamManager, JsMsg } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { parseBarrierEntry } from "../core/barrier/entry.ts";
import { fault } from "../core/errors.ts";
import { PermissionGraph } from "../core/graph/permission-graph.ts";
import type { Effect, GraphOptions } from "../core/graph-types.ts";
import { atLeast, NO_REVISION, type Revision } from "../core/revision.ts";
import { type GraphChange, permissionChanges } from "../core/rows.ts";
import { parseRoles, RoleIndex, type RoleTable } from "../core/session/roles.ts";
import { rowOfGraph, type Subjects } from "../core/subjects.ts";
import { type Alias, Aliases } from "../core/token/aliases.ts";
import { TokenIndex, type TokenIndexOptions } from "../core/token/token-index.ts";
import { type CommitEntry, parseBeat, parseCommitEntry, readGraphEntry } from "../core/wire/graph-entry.ts";
import {
  type FollowFailure,
  type FollowOptions,
  followStream,
  type StreamFollower,
} from "../runtime/nats/stream-follower.ts";

/**
 * One commit, applied. `changedKeys`: the lookup keys (core/session/session.ts) of the rows that changed: tokens, containers, and users whose
 * role changed. `commitTime`: UTC milliseconds in PostgreSQL.
 */
export type Applied = { revision: Revision; effect: Effect; changedKeys: Set<string>; commitTime: number };

export type PermissionReplicaOptions = {
  nc: NatsConnection;
  js: JetStreamClient;
  jsm: JetStreamManager;
  subjects: Subjects;
  graph: GraphOptions;
  tokens: TokenIndexOptions;
  /** The setting `roles`, as written. */
  roles?: string;
  onApplied: (applied: Applied) => void;
  /** The graph was loaded from nothing, at the start or after a roll-back: every session is to be checked again. */
  onLoaded?: (revision: Revision) => void;
  onTrouble: (reason: string) => void;
  /** A commit could not be applied: the graph is read again, and no login is accepted meanwhile. */
  onFailure?: (failure: GraphFailure) => void;
  /** A row without the shape of a row was applied as one that denies. */
  onUnreadable?: (row: { kind: string; uuid: string; sequence: number }) => void;
  /** Follows the aliases in BARRIER too. The callout leaves it out: its barrier member reads all of BARRIER, and calls `remember`. */
  aliases?: Pick<FollowOptions, "onTrouble" | "onFailure">;
  /** Replaced by tests. */
  follow?: typeof followStream;
};

/** `what` cannot be applied: the kind of row, or the entry that ends a commit. Without its content. */
export type GraphFailure = Pick<FollowFailure, "sequence" | "reason" | "times"> & { what: string };

export class PermissionReplica {
  readonly #options: PermissionReplicaOptions;
  #graph: PermissionGraph;
  #tokens: TokenIndex;
  readonly #aliases = new Aliases();
  readonly #roleTable: RoleTable;
  #roles: RoleIndex;
  #pending: GraphChange[] = [];
  #revision: Revision = NO_REVISION;
  #beat: number | null = null;
  #vouched: number | null = null;
  #follower: StreamFollower | null = null;
  #aliasFollower: StreamFollower | null = null;
  #waiters: { revision: Revision; resolve: () => void }[] = [];

  constructor(options: PermissionReplicaOptions) {
    this.#options = options;
    this.#graph = new PermissionGraph(options.graph);
    this.#tokens = this.#newTokens();
    const table = parseRoles(options.roles ?? "");
    if (typeof table === "string") throw fault("roles.invalid", { reason: table });
    this.#roleTable = table;
    this.#roles = new RoleIndex(table);
  }

  get graph(): PermissionGraph {
    return this.#graph;
  }

  get tokens(): TokenIndex {
    return this.#tokens;
  }

  get roles(): RoleIndex {
    return this.#roles;
  }

  get revision(): Revision {
    return this.#revision;
  }

  /**
   * Milliseconds since the graph was last known to be complete; Infinity before the first time, and from the moment that another
   * server process answers until the graph has been read again: GRAPH may have been rolled back with it.
   */
  age(now: number): number {
    const server = this.#options.nc.info?.server_id;
    const known = this.#beat !== null && this.#revision !== NO_REVISION && this.#follower?.server === server;
    return known ? Math.max(0, now - (this.#beat ?? 0)) : Number.POSITIVE_INFINITY;
  }

  /** What keeps the graph from being read; null where nothing does. */
  get failure(): GraphFailure | null {
    return this.#follower?.failure ? this.#failureOf(this.#follower.failure) : null;
  }

  /**
   * UTC milliseconds up to which a graph was ever known here to be complete, and sessions had what it grants: that stays true while the
   * graph is read again. Null before the first time.
   */
  get vouched(): number | null {
    return this.#vouched;
  }

  /** The stored token behind a session token that does not contain its uuid. */
  remember(alias: Alias): void {
    this.#aliases.set(alias);
  }

  /** Starts following; resolves once a whole commit is in memory. */
  async start(): Promise<void> {
    const { nc, js, jsm, subjects, onTrouble, onFailure, aliases, follow = followStream } = this.#options;
    nc.subscribe(subjects.graphBeat, {
      callback: (error, message) => {
        const beat = error ? null : parseBeat(message.string());
        if (beat) this.#onBeat(beat);
      },
    });
    this.#follower = follow({
      js,
      jsm,
      stream: "GRAPH",
      nc,
      onMessage: (message) => this.#onMessage(message),
      onReset: (reason) => this.#forget(reason),
      onTrouble,
      onFailure: (failure) => onFailure?.(this.#failureOf(failure)),
    });
    await this.reached({ epoch: 0, sequence: 1 });
    if (!aliases) return;
    this.#aliasFollower = follow({
      ...aliases,
      js,
      jsm,
      stream: "BARRIER",
      filter: subjects.barrierAliases,
      from: "lastPerSubject",
      nc,
      onMessage: (message) => this.#onAlias(message),
    });
  }

  /** Resolves when the graph stands at `revision` or later. */
  async reached(revision: Revision): Promise<void> {
    if (atLeast(this.#revision, revision)) return;
    await new Promise<void>((resolve) => {
      this.#waiters.push({ revision, resolve });
    });
  }

  async stop(): Promise<void> {
    await this.#aliasFollower?.stop();
    await this.#follower?.stop();
  }

  #onAlias(message: JsMsg): void {
    const entry = parseBarrierEntry(message.string());
    if (entry?.kind === "alias") this.remember(entry);
  }

  /** A beat vouches for the graph up to its revision; it counts once that revision has been applied here. */
  #onBeat({ time, revision }: { time: number; revision: Revision }): void {
    if (!atLeast(this.#revision, revision)) return;
    this.#beat = Math.max(this.#beat ?? 0, time);
    this.#vouched = Math.max(this.#vouched ?? 0, time);
  }

  #onMessage(message: JsMsg): void {
    if (message.subject === this.#options.subjects.graphCommit) {
      // GRAPH keeps the last value of each row: where half a commit follows this entry, the values that it replaced are missing before it.
      const isWhole = this.#revision !== NO_REVISION || message.info.pending === 0;
      if (!isWhole) return;
      const entry = parseCommitEntry(message.string());
      if (!entry) throw new Error("the entry that ends a commit has no epoch");
      return this.#commit(entry, message.seq);
    }
    const entry = readGraphEntry(message.subject, message.string());
    if (!entry) return;
    const { kind, uuid } = entry.change;
    if (entry.unreadable) this.#options.onUnreadable?.({ kind, uuid, sequence: message.seq });
    this.#pending.push(entry.change);
  }

  #failureOf({ subject, sequence, reason, times }: FollowFailure): GraphFailure {
    const { graphCommit } = this.#options.subjects;
    // A commit's rows are applied with the entry that ends it.
    const what = subject === graphCommit ? "commit" : `${rowOfGraph(subject)?.kind} row`;
    return { what, sequence, reason, times };
  }

  #commit(entry: CommitEntry, sequence: number): void {
    const changes = this.#pending;
    this.#pending = [];
    if (this.#revision === NO_REVISION) this.#load(changes, { epoch: entry.epoch, sequence });
    else this.#apply(changes, { epoch: entry.epoch, sequence }, entry.time);
    const reached = this.#waiters.filter((waiter) => atLeast(this.#revision, waiter.revision));
    this.#waiters = this.#waiters.filter((waiter) => !reached.includes(waiter));
    for (const waiter of reached) waiter.resolve();
  }

  #load(changes: readonly GraphChange[], revision: Revision): void {
    this.#graph.load(permissionChanges(changes));
    this.#tokens.apply(changes);
    this.#roles.apply(changes);
    this.#revision = revision;
    this.#options.onLoaded?.(revision);
  }

  #apply(changes: readonly GraphChange[], revision: Revision, commitTime: number): void {
    const effect = this.#graph.apply(permissionChanges(changes));
    const changedKeys = this.#tokens.apply(changes);
    this.#aliases.forgetVouchersOf(changedKeys);
    for (const user of this.#roles.apply(changes)) changedKeys.add(user);
    this.#revision = revision;
    this.#options.onApplied({ revision, effect, changedKeys, commitTime });
  }

  #newTokens(): TokenIndex {
    const isUser = (uuid: string) => this.#graph.isUser(uuid);
    return new TokenIndex({ ...this.#options.tokens, aliases: this.#aliases, isUser });
  }

  /** Nothing that was read counts any more; no login is accepted before GRAPH has been read again. */
  #forget(reason: string): void {
    this.#graph = new PermissionGraph(this.#options.graph);
    this.#tokens = this.#newTokens();
    this.#aliases.forgetVouchers();
    this.#roles = new RoleIndex(this.#roleTable);
    this.#pending = [];
    this.#revision = NO_REVISION;
    this.#beat = null;
    this.#options.onTrouble(`the graph is read again: ${reason}`);
  }
}
