/** An earlier graph, restored from the present one and GRAPHLOG: a model of a bridge that crashes anywhere, against the real parts. */
import assert from "node:assert/strict";
import type { Commit } from "../../../bridge/commit/commit.ts";
import { PastGraph } from "../../../bridge/commit/past-graph.ts";
import type { RowChange } from "../../../bridge/postgres/row.ts";
import { visibleIn } from "../../../bridge/postgres/snapshot.ts";
import { GraphRowSet } from "../../../bridge/rows/graph-row-set.ts";
import {
  type GraphLogEntry,
  GraphLogReader,
  type NewestOfGraph,
  parseGraphLogEntry,
  partsOf,
  rollBack,
} from "../../../bridge/streams/graph-log.ts";
import { graphDifference } from "../../../bridge/takeover/stored-state.ts";
import { formatLsn, type Lsn, laterLsn } from "../../../core/lsn.ts";
import type { GraphChange, Replacement } from "../../../core/rows.ts";
import { mulberry32, pick, type Random } from "../../../dev/testing/random.ts";
import { commitOf } from "../../support/worlds/commits.ts";

type Rows = Map<string, GraphChange>;
const rowsOf = (changes: Iterable<GraphChange>): Rows =>
  new Map([...changes].map(({ kind, uuid, row }) => [`${kind}:${uuid}`, { kind, uuid, row } as GraphChange]));
/** The rows, to compare. */
const standing = (rows: Iterable<GraphChange>) =>
  [...rows]
    .filter(({ row }) => row !== null)
    .map(({ row }) => JSON.stringify(row))
    .sort();

const uuid = (kind: string, number: number) => `zzzzz-${kind}-${String(number).padStart(15, "0")}`;
const SEVERAL = [0, 1, 2, 3];

/** A row as it may become at any time. */
function randomRow(random: Random): RowChange {
  const table = pick(["users", "groups", "links", "container_requests", "api_client_authorizations"] as const, random);
  const number = pick(SEVERAL, random);
  const [user, group] = [uuid("tpzed", pick(SEVERAL, random)), uuid("j7d0g", pick(SEVERAL, random))];
  const columns = {
    users: { uuid: uuid("tpzed", number), owner_uuid: "root", is_active: random() < 0.5 },
    groups: { uuid: uuid("j7d0g", number), owner_uuid: pick([user, group], random), group_class: "project" },
    links: {
      uuid: uuid("o0j2j", number),
      link_class: "permission",
      name: "can_read",
      tail_uuid: user,
      head_uuid: group,
    },
    container_requests: { uuid: uuid("xvhdp", number), owner_uuid: group, container_uuid: uuid("dz642", number) },
    api_client_authorizations: { uuid: uuid("gj3su", number), user_id: pick(SEVERAL, random), api_token: user },
  };
  if (random() < 0.3) return { table, op: "delete", id: number, row: null };
  return { table, op: "update", id: number, row: { id: number, ...columns[table] } };
}

function randomCommit(index: number, random: Random): Commit {
  const rows = Array.from({ length: 1 + Math.floor(random() * 4) }, () => randomRow(random));
  return commitOf(rows, [], { lsn: BigInt(10 * (index + 1)), xid: index });
}

type Copy = Pick<Model, "graph" | "newest" | "epochs" | "log" | "records" | "confirmed">;

/** The database, the streams, and a bridge that reads the one and writes the others. */
class Model {
  readonly random: Random;
  readonly commits: Commit[] = [];
  /** The graph's rows before each commit, and after the last one. */
  readonly history: Rows[] = [new Map()];
  readonly #database = new GraphRowSet("zzzzz");

  graph: Rows = new Map();
  newest: NewestOfGraph | null = null;
  /** Of the last whole commit in GRAPH, and of the last leader in RECORDS. */
  epochs = { graph: 0, records: 0 };
  graphEnd = 0;
  log: { upTo: Lsn; entry: GraphLogEntry }[] = [];
  records: Lsn = 0n;
  confirmed: Lsn = 0n;
  /** Earlier contents of the streams that a power loss may bring back. */
  #copies: Copy[] = [];

  epoch = 0;
  #upTo: Lsn = 0n;
  #present = new GraphRowSet("zzzzz");
  #past: PastGraph | null = null;
  #contains: (xid: number) => boolean = () => false;
  #until: Lsn = 0n;
  #asOne: Lsn = 0n;
  #confirmations: Lsn[] = [];
  #at = 0;
  /** How many commits the present graph would have routed wrongly. */
  wrongNow = 0;

  constructor(seed: number) {
    this.random = mulberry32(seed);
  }

  commit(): void {
    const commit = randomCommit(this.commits.length, this.random);
    this.commits.push(commit);
    this.#database.apply(commit.rows);
    this.history.push(rowsOf(this.#database.all()));
  }

  /** A bridge begins a term. Returns false where it crashed meanwhile. */
  start(mayCutShort: boolean): boolean {
    const count = this.commits.length;
    // What was written and not flushed counts, and may be gone after a crash of PostgreSQL.
    this.#until = (this.commits.at(-1)?.lsn ?? 0n) + BigInt(pick([0, 3, 35], this.random));
    this.#present = new GraphRowSet("zzzzz");
    this.#present.load((this.history[count] as Rows).values());
    const snapshot = `${count}:${count}:`;
    this.#contains = visibleIn(snapshot);
    // As `decideEpoch` has it: a bridge that crashed while it began an epoch may have left anything.
    const undo = this.epochs.graph === this.epochs.records ? this.#readLog() : null;
    assert.ok(undo || mayCutShort, "the log reaches back");
    const changes = graphDifference(this.graph, this.#present.all());
    if (undo === null) this.epochs.records = ++this.epoch;
    this.#past = undo && this.#pastOf(undo, changes);
    this.#at = this.commits.findIndex(({ lsn }) => lsn > this.confirmed);
    if (this.#at < 0) this.#at = count;
    const isWhole = this.#write(changes, this.#until, undo ? null : snapshot);
    this.#asOne = this.#upTo;
    return isWhole;
  }

  #pastOf(undo: NonNullable<ReturnType<GraphLogReader["undo"]>>, changes: Replacement[]): PastGraph {
    const until = this.#until;
    return new PastGraph({
      clusterId: "zzzzz",
      rows: new Map(this.graph),
      undo,
      changes,
      until,
      lookUpOwners: async () => [],
    });
  }

  #readLog() {
    if (this.newest === null) return null;
    const early = this.log.findLastIndex(({ upTo }) => upTo <= this.confirmed);
    const tail = new GraphLogReader(Math.max(early, 0), this.confirmed);
    for (let at = Math.max(early, 0); at < this.log.length; at++) {
      const { upTo, entry } = this.log[at] as Model["log"][number];
      tail.add(at, upTo, entry);
    }
    this.#upTo = laterLsn(tail.upTo, this.newest.lsn);
    const named = this.log[this.newest.log ?? -1]?.entry ?? null;
    return tail.undo(this.newest, named, { first: 0, last: this.log.length - 1 });
  }

  /** Returns false where it crashed on the way. */
  #write(changes: readonly Replacement[], lsn: Lsn, floor: string | null = null): boolean {
    const commit = this.graphEnd + changes.length + 1;
    this.#upTo = floor === null ? laterLsn(this.#upTo, lsn) : lsn;
    const entry = { epoch: this.epoch, lsn: formatLsn(lsn), commit };
    if (floor !== null) this.log.push({ upTo: this.#upTo, entry: { ...entry, replaced: [], floor } });
    else for (const replaced of partsOf(changes)) this.log.push({ upTo: this.#upTo, entry: { ...entry, replaced } });
    const log = this.log.length - 1;
    const store = (change: Replacement | null): boolean => {
      // Between any two messages.
      if (this.random() < 0.03) return false;
      this.graphEnd++;
      if (change) this.graph.set(`${change.kind}:${change.uuid}`, change);
      else this.epochs.graph = this.epoch;
      this.newest = { sequence: this.graphEnd, epoch: this.epoch, lsn, log };
      return true;
    };
    return [...changes, null].every(store);
  }

  /** The bridge handles the next commit. Returns false where it crashed. */
  async next(stores: boolean): Promise<boolean> {
    const commit = this.commits[this.#at] as Commit;
    this.#pass(commit.lsn - 1n);
    await this.#past?.repeat(commit);
    if (!this.#contains(commit.xid)) {
      const changes = this.#present.apply(commit.rows);
      this.#past?.noteDiffering(changes);
      if (changes.length > 0 && !this.#write(changes, commit.lsn)) return false;
    }
    this.#at++;
    if (commit.lsn > this.records) this.#route(commit);
    if (stores && this.records < commit.lsn) this.records = commit.lsn;
    return true;
  }

  #route({ xid }: Commit): void {
    const then = this.history[xid + 1] as Rows;
    // As the graph was read where it began, if that was later.
    const floor = this.log.findLast(({ entry }) => entry.floor !== undefined)?.entry.floor ?? "0:0:";
    const wanted = visibleIn(floor)(xid) ? (this.history[Number.parseInt(floor, 10)] as Rows) : then;
    const by = this.#past?.state ?? this.#present;
    assert.deepEqual(standing(by.all()), standing(wanted.values()), `the graph of commit ${xid}`);
    if (standing(this.#present.all()).join() !== standing(wanted.values()).join()) this.wrongNow++;
  }

  #pass(lsn: Lsn): void {
    if (!this.#past || lsn < this.#past.until) return;
    const rows = rowsOf(this.#past.state.all());
    for (const change of this.#past.changesTo(this.#present)) rows.set(`${change.kind}:${change.uuid}`, change);
    assert.deepEqual(standing(rows.values()), standing(this.#present.all()), "the graph of the present");
    this.#past = null;
  }

  /** Everything is stored and confirmed. */
  confirm(): void {
    const frontier = this.commits[this.#at - 1]?.lsn ?? 0n;
    if (this.records !== frontier || frontier < this.#asOne) return;
    this.confirmed = frontier;
    this.#confirmations.push(frontier);
  }

  /** PostgreSQL crashes: it may forget the last confirmation. */
  forgetConfirmations(): void {
    this.confirmed = pick([0n, ...this.#confirmations], this.random);
  }

  keepCopy(): void {
    const { graph, newest, epochs, log, records, confirmed } = this;
    this.#copies.push({ graph: new Map(graph), newest, epochs: { ...epochs }, log: [...log], records, confirmed });
  }

  /** Each stream by itself falls back to something that holds what was confirmed. */
  losePower(): void {
    const synced = this.#confirmations.at(-1) ?? 0n;
    const survivors = this.#copies.filter(({ confirmed }) => confirmed >= synced);
    if (survivors.length === 0) return;
    const [graph, log, records] = [1, 2, 3].map(() => pick(survivors, this.random)) as [Copy, Copy, Copy];
    this.graph = new Map(graph.graph);
    this.newest = graph.newest;
    this.log = [...log.log];
    this.records = records.records;
    this.epochs = { graph: graph.epochs.graph, records: records.epochs.records };
    this.#copies = [];
  }

  get isCaughtUp(): boolean {
    return this.#at >= this.commits.length;
  }
}

async function live(seed: number, loses: boolean): Promise<Model> {
  const model = new Model(seed);
  const { random } = model;
  let mayCutShort = true;
  for (let life = 0; life < 12; life++) {
    for (let i = Math.floor(random() * 6); i > 0; i--) model.commit();
    if (random() < 0.2) model.forgetConfirmations();
    let runs = model.start(mayCutShort);
    mayCutShort &&= !runs;
    const holds = random() < 0.5;
    for (let step = Math.floor(random() * 30); step > 0 && runs; step--) {
      if (model.isCaughtUp) model.commit();
      runs = await model.next(!holds || step > 20);
      if (random() < 0.2) model.confirm();
      if (random() < 0.2) model.keepCopy();
    }
    if (loses && random() < 0.4) {
      model.losePower();
      mayCutShort = true;
    }
  }
  return model;
}

describe("GRAPHLOG", () => {
  it("restores the graph before any commit, from the graph after any later one", () => {
    for (let seed = 1; seed <= 20; seed++) {
      const random = mulberry32(seed);
      const state = new GraphRowSet("zzzzz");
      const history: Rows[] = [new Map()];
      const entries: GraphLogEntry[] = [];
      for (let index = 0; index < 40; index++) {
        const { lsn, rows } = randomCommit(index, random);
        const changes = state.apply(rows);
        for (const replaced of partsOf(changes)) entries.push({ epoch: 1, lsn: formatLsn(lsn), commit: 0, replaced });
        history.push(rowsOf(state.all()));
      }
      for (let to = 0; to <= 40; to++) {
        const from = to + Math.floor(random() * (41 - to));
        const rows = new Map(history[from]);
        rollBack(rows, entries.slice(to, from));
        assert.deepEqual(standing(rows.values()), standing((history[to] as Rows).values()), `${from} back to ${to}`);
      }
    }
  });

  it("is enough without entries where nothing must be put back, but not where it has lost its end", () => {
    const newest: NewestOfGraph = { sequence: 7, epoch: 1, lsn: 50n, log: 3 };
    const none = { entries: [], floor: null };
    const said = (target: Lsn, named: GraphLogEntry | null, first: number, log: number | null = 3) => {
      const tail = new GraphLogReader(first, target);
      for (let sequence = first; sequence <= 6; sequence++) tail.add(sequence, 50n, null);
      return tail.undo({ ...newest, log }, named, { first, last: 6 });
    };
    assert.deepEqual(said(50n, null, 4), none, "it has gone with age");
    assert.equal(said(40n, null, 4), null, "it has gone too early");
    assert.equal(said(50n, null, 2), null, "it was lost");
    const entry: GraphLogEntry = { epoch: 1, lsn: formatLsn(50n), commit: 7, replaced: [] };
    assert.deepEqual(said(50n, entry, 2), none);
    assert.equal(said(50n, { ...entry, epoch: 2 }, 2), null, "another bridge's stands in its place");
    assert.equal(said(50n, { ...entry, commit: 6 }, 2), null);
    assert.equal(said(50n, entry, 2, null), null, "GRAPH is of before there was a log");
  });

  it("routes every repeated commit by the graph at its time, wherever bridges crash", async () => {
    let wrongNow = 0;
    for (let seed = 1; seed <= 60; seed++) wrongNow += (await live(seed, false)).wrongNow;
    assert.ok(wrongNow > 100, `by the graph of now only ${wrongNow} would go wrong`);
  });

  it("does so, or reports that it cannot, when streams lose their unsynced ends", async () => {
    let epochs = 0;
    for (let seed = 1; seed <= 60; seed++) epochs += (await live(seed, true)).epoch;
    assert.ok(epochs > 60, "some began anew");
  });
});

describe("an entry of GRAPHLOG", () => {
  const link = { id: 1, uuid: uuid("o0j2j", 1), tail_uuid: "t", head_uuid: "h", name: "can_read" };
  const entry = { epoch: 1, lsn: "0/1", commit: 7, replaced: [{ kind: "link", uuid: link.uuid, replaced: link }] };

  it("is read as it was written", () => {
    for (const one of [entry, { ...entry, floor: "9:9:" }, { ...entry, replaced: [] }]) {
      assert.deepEqual(parseGraphLogEntry(JSON.stringify(one)), one);
    }
  });

  it("is rejected where a part has another shape: then nothing can be put back, and the bridge still leads", () => {
    const odd: unknown[] = [null, 7, {}, { ...entry, epoch: "1" }, { ...entry, replaced: {} }, { ...entry, floor: 7 }];
    for (const replaced of [
      null,
      7,
      {},
      { ...entry.replaced[0], kind: "no" },
      { ...entry.replaced[0], replaced: {} },
    ]) {
      odd.push({ ...entry, replaced: [replaced] });
    }
    for (const one of odd) assert.equal(parseGraphLogEntry(JSON.stringify(one)), null, JSON.stringify(one));
    assert.equal(parseGraphLogEntry("{"), null);
    const tail = new GraphLogReader(5, 10n);
    tail.add(5, 9n, null);
    // The sixth message is not handed over.
    tail.add(7, 12n, entry as GraphLogEntry);
    const newest: NewestOfGraph = { sequence: 7, epoch: 1, lsn: 12n, log: 7 };
    assert.equal(tail.undo(newest, entry as GraphLogEntry, { first: 1, last: 7 }), null);
  });
});
