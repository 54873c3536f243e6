/** GRAPHLOG and GRAPH on a real nats-server: what a new leader reads of them, in whatever state the last one left them. */
import assert from "node:assert/strict";
import { cp, rm } from "node:fs/promises";
import { join } from "node:path";
import { jetstreamManager } from "@nats-io/jetstream";
import { GRAPH_LOG_HEADER, rollBack } from "../../../bridge/streams/graph-log.ts";
import { GraphLogWriter } from "../../../bridge/streams/graph-log-writer.ts";
import { GraphWriter } from "../../../bridge/streams/graph-writer.ts";
import { FencedPublisher } from "../../../bridge/streams/publisher.ts";
import { writeLeaderEntry } from "../../../bridge/takeover/leader-entry.ts";
import { readGraphLog } from "../../../bridge/takeover/stored-graph-log.ts";
import { readStoredGraph } from "../../../bridge/takeover/stored-state.ts";
import { Fault } from "../../../core/errors.ts";
import { formatLsn, type Lsn } from "../../../core/lsn.ts";
import type { Replacement, UserRow } from "../../../core/rows.ts";
import { formatGraphEntry } from "../../../core/wire/graph-entry.ts";
import { HEADER } from "../../../core/wire/wire.ts";
import { until } from "../../../dev/testing/until.ts";
import { startNats, type TestNats } from "../../support/servers/nats.ts";

const ALICE = "zzzzz-tpzed-aliceaaaaaaaaaa";

/** Alice as the commit at this position left her; 0 = she is not there yet. */
function aliceAt(lsn: number, note = ""): UserRow | null {
  const row = { id: lsn, uuid: ALICE, owner_uuid: note, is_admin: false, is_active: true, redirect_to_user_uuid: null };
  return lsn === 0 ? null : row;
}
const changeTo = (lsn: number, from: number, note = ""): Replacement => ({
  kind: "user",
  uuid: ALICE,
  row: aliceAt(lsn, note),
  replaced: aliceAt(from, note),
});

describe("GRAPHLOG", () => {
  let nats: TestNats;
  const closing: (() => Promise<void>)[] = [];
  beforeEach(async () => {
    nats = await startNats({ profile: { graphLogBytes: 2 * 1024 * 1024 } });
  });
  afterEach(async () => {
    for (const close of closing.splice(0)) await close();
    await nats[Symbol.asyncDispose]();
  });

  /** A bridge that begins a term in epoch 1; the first one begins the graph. */
  async function lead({ floor = null, upTo = 0n }: { floor?: string | null; upTo?: Lsn } = {}) {
    const { subjects } = nats;
    const nc = await nats.connect("bridge", "CORE");
    const jsm = await jetstreamManager(nc);
    const failures: unknown[] = [];
    const publisher = async (stream: "GRAPH" | "GRAPHLOG", subject: string) => {
      const entry = { stream, subject, body: "{}" };
      const { sequence: lastSequence } = await writeLeaderEntry(
        nc,
        jsm,
        stream,
        async () => {},
        () => entry,
      );
      const onFailed = (error: unknown) => failures.push(error);
      return new FencedPublisher({ nc, stream, lastSequence, inboxPrefix: "_INBOX.bridge", now: Date.now, onFailed });
    };
    const toGraph = await publisher("GRAPH", subjects.graphLeader);
    const toLog = await publisher("GRAPHLOG", subjects.graphLogLeader);
    const log = new GraphLogWriter(toLog, subjects, { epoch: 1, upTo, floor });
    const graph = new GraphWriter(toGraph, log, subjects, { epoch: 1, system: { id: "1", timeline: 1 } });
    const close = async () => {
      toGraph.close();
      toLog.close();
      await nc.close();
    };
    closing.push(close);
    return {
      log,
      toGraph,
      failures,
      /** Commits at 10, 20, ... each change Alice. */
      async commits(from: number, to: number, note = "") {
        for (let lsn = from; lsn <= to; lsn += 10) await graph.write([changeTo(lsn, lsn - 10, note)], BigInt(lsn), 0);
        await Promise.all([toGraph.acknowledged(), toLog.acknowledged()]);
      },
      /** What the next bridge finds: Alice as of `target`, or null where that is not known. */
      async found(target: number) {
        const stored = await readStoredGraph(nc, jsm, subjects);
        const read = await readGraphLog(nc, jsm, subjects, { target: BigInt(target), newest: stored.newest });
        if (read.undo) rollBack(stored.rows, read.undo.entries);
        const lsns = read.undo?.entries.map(({ lsn }) => Number.parseInt(lsn.slice(2), 16));
        const alice = stored.rows.get(`user:${ALICE}`)?.row?.id ?? 0;
        return { ...read, undone: lsns ?? null, alice: read.undo && alice };
      },
      close,
    };
  }

  it("has what to put back for any position, across bridges and long quiet times", async () => {
    const first = await lead({ floor: "4:4:" });
    await first.commits(10, 60);
    for (const [target, alice] of [
      [60, 60],
      [45, 40],
      [20, 20],
    ] as const) {
      assert.equal((await first.found(target)).alice, alice, `as of ${target}`);
    }
    const atFloor = await first.found(5);
    assert.deepEqual([atFloor.alice, atFloor.undo?.floor], [10, "4:4:"], "nothing before the graph began can be had");
    for (let i = 0; i < 30; i++) await first.log.publishStored(60n);
    await first.close();
    for (let i = 0; i < 3; i++) await (await lead()).close();

    const last = await lead();
    const quiet = await last.found(70);
    assert.deepEqual([quiet.undone, quiet.alice, quiet.declaredStored, quiet.upTo], [[], 60, 60n, 60n]);
    assert.deepEqual((await last.found(40)).undone, [50, 60]);
  });

  it("puts back half a commit, and a commit that GRAPH does not have", async () => {
    const first = await lead({ floor: "4:4:" });
    await first.commits(10, 30);
    await first.log.write([changeTo(40, 30)], 40n, first.toGraph.promisedSequence + 2);
    assert.deepEqual((await first.found(20)).undone, [30, 40], "GRAPH has nothing of the last one");
    assert.equal((await first.found(20)).alice, 20);
    // A row, and not the entry that ends the commit.
    const headers = { [HEADER.epoch]: "1", [HEADER.lsn]: formatLsn(40n), [GRAPH_LOG_HEADER]: "5" };
    const body = formatGraphEntry(changeTo(40, 30));
    first.toGraph.push([{ subject: nats.subjects.graph("user", ALICE), headers, body }]);
    await first.toGraph.acknowledged();
    const half = await first.found(30);
    assert.deepEqual([half.undone, half.alice], [[40], 30]);
  });

  it("reports that it cannot where it is older than GRAPH, and where its old entries are gone", async () => {
    const first = await lead({ floor: "4:4:" });
    await first.commits(10, 30);
    await first.close();
    const { server } = nats;
    await server.kill9();
    const stream = join(server.dir, "store", "jetstream", "CORE", "streams", "GRAPHLOG");
    const copy = join(server.dir, "copy");
    await cp(stream, copy, { recursive: true });
    await server.restart();
    const second = await lead({ upTo: 30n });
    await second.commits(40, 60);
    assert.equal((await second.found(30)).alice, 30);
    await second.close();
    await server.kill9();
    await rm(stream, { recursive: true });
    await cp(copy, stream, { recursive: true });
    await server.restart();

    const third = await lead({ floor: "9:9:" });
    assert.equal((await third.found(30)).undo, null);
    assert.equal(
      (await third.found(60)).undo,
      null,
      "nothing is to be put back, but what comes next would hide the loss",
    );
    await third.commits(70, 90);
    const anew = await third.found(60);
    assert.deepEqual([anew.undo?.floor, anew.alice], ["9:9:", 70]);
    // 3 MiB through a log of 2.
    await third.commits(100, 400, "x".repeat(100_000));
    assert.equal((await third.found(360)).alice, 360);
    assert.equal((await third.found(90)).undo, null);
  });

  it("stores nothing of a bridge that was replaced", async () => {
    const first = await lead({ floor: "4:4:" });
    await first.commits(10, 30);
    const second = await lead({ upTo: 30n });
    await first.log.write([changeTo(40, 30)], 40n, 99);
    await until(() => first.failures.length > 0, "the fence");
    const [error] = first.failures;
    assert.ok(error instanceof Fault && error.code === "stream.fenced");
    assert.deepEqual((await second.found(20)).undone, [30]);
  });
});
