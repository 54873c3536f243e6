/** The graph that a command loads while the bridge writes: that of one whole commit. */
import assert from "node:assert/strict";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { Fault } from "../../core/errors.ts";
import { PermissionGraph } from "../../core/graph/permission-graph.ts";
import { type GraphChange, permissionChanges } from "../../core/rows.ts";
import { formatGraphEntry, parseGraphEntry } from "../../core/wire/graph-entry.ts";
import { until } from "../../dev/testing/until.ts";
import { type GraphStream, type LoadedGraph, loadGraph } from "../../replica/load-graph.ts";
import { startNats, type TestNats } from "../support/servers/nats.ts";
import { FIRST_COMMIT, GRAPH_OPTIONS, move, readable } from "./moving-link.ts";

async function publish(nats: TestNats, bridge: NatsConnection, changes: readonly GraphChange[]): Promise<void> {
  for (const change of changes)
    await jetstream(bridge).publish(nats.subjects.graph(change.kind, change.uuid), formatGraphEntry(change));
}

async function endCommit(nats: TestNats, bridge: NatsConnection): Promise<number> {
  const entry = { epoch: 1, lsn: "0/1", time: 0, system: { id: "1", timeline: 1 } };
  return (await jetstream(bridge).publish(nats.subjects.graphCommit, JSON.stringify(entry))).seq;
}

async function commit(nats: TestNats, bridge: NatsConnection, changes: readonly GraphChange[]): Promise<number> {
  await publish(nats, bridge, changes);
  return endCommit(nats, bridge);
}

async function load(nats: TestNats, signal: AbortSignal, jsm?: GraphStream): Promise<LoadedGraph> {
  const stream = jsm ?? (await jetstreamManager(await nats.connect("authcallout", "CORE")));
  return loadGraph({ jsm: stream, subjects: nats.subjects, graph: GRAPH_OPTIONS, signal });
}

/** What GRAPH holds at this moment, whether a commit ends there or not. */
async function readAtOnce(nats: TestNats): Promise<PermissionGraph> {
  const jsm = await jetstreamManager(await nats.connect("authcallout", "CORE"));
  const changes: GraphChange[] = [];
  for await (const message of await jsm.direct.getBatch("GRAPH", { seq: 1, batch: 1_000 })) {
    const change = parseGraphEntry(message.subject, message.string());
    if (change) changes.push(change);
  }
  const graph = new PermissionGraph(GRAPH_OPTIONS);
  graph.load(permissionChanges(changes));
  return graph;
}

describe("the graph that a command loads", () => {
  const controller = new AbortController();
  const { signal } = controller;

  it("is that of a whole commit, each time, while a writer writes; and needs no consumer", async () => {
    await using nats = await startNats();
    const bridge = await nats.connect("bridge", "CORE");
    await commit(nats, bridge, FIRST_COMMIT);
    const jsm = await jetstreamManager(await nats.connect("authcallout", "CORE"));
    let isWriting = true;
    let commits = 0;
    const writing = (async () => {
      for (; isWriting; commits++) await commit(nats, bridge, move(commits));
    })();
    const revisions = new Set<number>();
    for (let n = 0; n < 30; n++) {
      const { graph, revision } = await load(nats, signal, jsm);
      assert.equal(readable(graph).length, 1, `at ${revision.sequence}, after ${commits} commits`);
      revisions.add(revision.sequence);
      assert.equal((await jsm.streams.info("GRAPH")).state.consumer_count, 0);
    }
    isWriting = false;
    await writing;
    assert.ok(revisions.size > 10, `of ${revisions.size} commits`);
  });

  it("waits for the second half of a commit; without waiting the user could read nothing: negative control", async () => {
    await using nats = await startNats();
    const bridge = await nats.connect("bridge", "CORE");
    await commit(nats, bridge, FIRST_COMMIT);
    const [removal, addition] = move(0) as [GraphChange, GraphChange];
    await publish(nats, bridge, [removal]);
    assert.deepEqual(readable(await readAtOnce(nats)), []);
    let isLoaded = false;
    let asked = 0;
    const jsm = await jetstreamManager(await nats.connect("authcallout", "CORE"));
    const info: GraphStream["streams"]["info"] = (stream) => {
      asked++;
      return jsm.streams.info(stream);
    };
    const loading = load(nats, signal, { direct: jsm.direct, streams: { info } }).then((loaded) => {
      isLoaded = true;
      return loaded;
    });
    await until(() => asked >= 3, "the half to be read, and to be found short");
    assert.equal(isLoaded, false);
    await publish(nats, bridge, [addition]);
    const sequence = await endCommit(nats, bridge);
    const { graph, revision } = await loading;
    assert.deepEqual([readable(graph), revision], [[2], { epoch: 1, sequence }]);
  });

  it("is refused where there is no whole commit until one has waited long enough", async () => {
    await using nats = await startNats();
    const bridge = await nats.connect("bridge", "CORE");
    await publish(nats, bridge, FIRST_COMMIT);
    const patience = new AbortController();
    const refused = assert.rejects(
      load(nats, patience.signal),
      (error) => error instanceof Fault && error.code === "graph.empty",
    );
    patience.abort();
    await refused;
  });
});
