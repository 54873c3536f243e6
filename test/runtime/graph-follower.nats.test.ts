/** A follower of GRAPH whose server loses its power: what it knew may never have been, and the same sequences say something else. */
import assert from "node:assert/strict";
import { cp, rm } from "node:fs/promises";
import { join } from "node:path";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { formatGraphEntry } from "../../core/graph-entry.ts";
import type { Revision } from "../../core/revision.ts";
import type { GraphChange, TokenRow } from "../../core/rows.ts";
import type { Subjects } from "../../core/subjects.ts";
import { GraphFollower } from "../../runtime/graph-follower.ts";
import { startNats, type TestNats } from "../support/nats.ts";
import { until } from "../support/until.ts";

const token = (n: number, row: Partial<TokenRow> | null = {}): GraphChange => {
  const uuid = `zzzzz-gj3su-00000000000000${n}`;
  const whole = {
    id: n,
    uuid,
    user_uuid: "zzzzz-tpzed-000000000000001",
    scopes: ["all"],
    expires_at: null,
    refreshes_at: null,
    secret_sha256: String(n).repeat(64),
    salted_sha256: "s".repeat(64),
  };
  return { kind: "token", uuid, row: row && { ...whole, ...row } };
};

/** Writes a commit as the bridge would; returns its revision. */
async function commit(nats: TestNats, bridge: NatsConnection, changes: GraphChange[]): Promise<Revision> {
  const js = jetstream(bridge);
  for (const change of changes)
    await js.publish(nats.subjects.graph(change.kind, change.uuid), formatGraphEntry(change));
  const entry = { epoch: 1, lsn: "0/1", time: 0, system: { id: "1", timeline: 1 } };
  const { seq } = await js.publish(nats.subjects.graphCommit, JSON.stringify(entry));
  return { epoch: 1, sequence: seq };
}

async function followerOn(nats: TestNats, nc: NatsConnection, loaded: Revision[], onRead = () => {}) {
  // Each message is compared with the commit's subject.
  const subjects: Subjects = Object.defineProperty({ ...nats.subjects }, "graphCommit", {
    get() {
      onRead();
      return nats.subjects.graphCommit;
    },
  });
  return new GraphFollower({
    nc,
    js: jetstream(nc),
    jsm: await jetstreamManager(nc),
    subjects,
    graph: { clusterId: "zzzzz", roleGroupsVisibleToAll: true, audienceMin: 20 },
    tokens: { clusterId: "zzzzz", systemRootToken: "", anonymousSecret: "" },
    onApplied: () => {},
    onLoaded: (revision) => loaded.push(revision),
    onTrouble: () => {},
  });
}

describe("where GRAPH ends with half a commit", () => {
  it("a follower that starts waits for the other half: what the first has replaced is nowhere any more", async () => {
    await using nats = await startNats();
    const bridge = await nats.connect("bridge", "CORE");
    const nc = await nats.connect("authcallout", "CORE");
    await commit(nats, bridge, [token(1), token(2)]);
    const half = token(1, { scopes: [] });
    const js = jetstream(bridge);
    await js.publish(nats.subjects.graph(half.kind, half.uuid), formatGraphEntry(half));

    const loaded: Revision[] = [];
    let read = 0;
    const follower = await followerOn(nats, nc, loaded, () => read++);
    await using _ = { [Symbol.asyncDispose]: () => follower.stop() };
    const started = follower.start();
    await until(() => read === 3, "token 2, the entry, and the half to be read");
    assert.equal(loaded.length, 0);
    const whole = await commit(nats, bridge, [token(3)]);
    await started;
    assert.deepEqual(loaded, [whole]);
  });
});

describe("after a power loss of nats-server", function () {
  this.timeout(60_000);

  it("a follower trusts nothing it has, reads GRAPH anew, and sees the removal under an old sequence", async () => {
    await using nats = await startNats({ reconnect: true });
    const options = { maxReconnectAttempts: -1, reconnectTimeWait: 50 };
    const bridge = await nats.connect("bridge", "CORE", options);
    const nc = await nats.connect("authcallout", "CORE", options);
    const loaded: Revision[] = [];
    const follower = await followerOn(nats, nc, loaded);
    await using _ = { [Symbol.asyncDispose]: () => follower.stop() };
    const has = (n: number) => follower.tokens.bySessionToken(token(n).uuid, Date.now()) !== null;

    await commit(nats, bridge, [token(1), token(2)]);
    await follower.start();
    const store = join(nats.server.dir, "store");
    const saved = join(nats.server.dir, "saved");
    await nats.server.kill9();
    await cp(store, saved, { recursive: true });
    await nats.server.restart();
    await until(() => loaded.length === 2, "the second reading", 20_000);

    await until(() => commit(nats, bridge, [token(3)]).catch(() => null), "the server to take it");
    const lost = await commit(nats, bridge, [token(4)]);
    await follower.reached(lost);
    assert.ok(has(1) && has(4));
    const beat = () => bridge.publish(nats.subjects.graphBeat, JSON.stringify({ time: Date.now(), revision: lost }));
    await until(() => {
      beat();
      return follower.age(Date.now()) < 5_000;
    }, "a beat");

    await nats.server.kill9();
    await rm(store, { recursive: true });
    await cp(saved, store, { recursive: true });
    const before = nc.info?.server_id;
    await nats.server.restart();
    await until(() => nc.info?.server_id !== before, "the connection to come back", 20_000);
    assert.equal(follower.age(Date.now()), Number.POSITIVE_INFINITY, "from the first moment");
    const removal = await until(() => commit(nats, bridge, [token(1, null)]).catch(() => null), "the removal", 20_000);
    assert.ok(removal.sequence <= lost.sequence, "an old sequence");
    await until(() => loaded.length === 3 && !has(1), "the removal to be seen", 20_000);
    assert.ok(has(2) && !has(4), "and what was lost is gone");
  });
});
