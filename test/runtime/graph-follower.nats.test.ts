/** A follower of GRAPH whose server loses its power: what it knew may never have been, and the same sequences say something else. */
import assert from "node:assert/strict";
import { cp, rm } from "node:fs/promises";
import { join } from "node:path";
import { type JetStreamManager, jetstream, jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { formatGraphEntry } from "../../core/graph-entry.ts";
import type { Revision } from "../../core/revision.ts";
import type { GraphChange, TokenRow } from "../../core/rows.ts";
import type { Subjects } from "../../core/subjects.ts";
import { GraphFollower } from "../../runtime/graph-follower.ts";
import { startNats, type TestNats } from "../support/nats.ts";
import { until } from "../support/until.ts";

const USER = "zzzzz-tpzed-000000000000001";
const user: GraphChange = {
  kind: "user",
  uuid: USER,
  row: { id: 1, uuid: USER, owner_uuid: USER, is_admin: false, is_active: true, redirect_to_user_uuid: null },
};
const token = (n: number, row: Partial<TokenRow> | null = {}): GraphChange => {
  const uuid = `zzzzz-gj3su-00000000000000${n}`;
  const whole = {
    id: n,
    uuid,
    user_uuid: USER,
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

type Seams = { onRead?: () => void; jsm?: JetStreamManager };

async function followerOn(nats: TestNats, nc: NatsConnection, loaded: Revision[], seams: Seams = {}) {
  // Each message is compared with the commit's subject.
  const subjects: Subjects = Object.defineProperty({ ...nats.subjects }, "graphCommit", {
    get() {
      seams.onRead?.();
      return nats.subjects.graphCommit;
    },
  });
  return new GraphFollower({
    nc,
    js: jetstream(nc),
    jsm: seams.jsm ?? (await jetstreamManager(nc)),
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
    const follower = await followerOn(nats, nc, loaded, { onRead: () => read++ });
    await using _ = { [Symbol.asyncDispose]: () => follower.stop() };
    const started = follower.start();
    await until(() => read === 3, "token 2, the entry, and the half to be read");
    assert.equal(loaded.length, 0);
    const whole = await commit(nats, bridge, [token(3)]);
    await started;
    assert.deepEqual(loaded, [whole]);
  });
});

/** A connection and a manager by which nobody notices that another server process answers, or that the stream ends too early. */
function unnoticed(nc: NatsConnection, jsm: JetStreamManager): [NatsConnection, JetStreamManager] {
  const info = nc.info;
  const streams = new Proxy(jsm.streams, {
    get: (target, name) =>
      name === "info"
        ? async () => ({ state: { last_seq: Number.MAX_SAFE_INTEGER } })
        : Reflect.get(target, name).bind?.(target),
  });
  return [overlaid(nc, { info }), overlaid(jsm, { streams })];
}

function overlaid<T extends object>(target: T, values: Partial<Record<keyof T, unknown>>): T {
  return new Proxy(target, {
    get(_, name) {
      if (Object.hasOwn(values, name)) return values[name as keyof T];
      const value: unknown = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

describe("after a power loss of nats-server", () => {
  /** A follower of GRAPH that has applied what the server, without its power, then has never had; token 1 goes under an old sequence. */
  async function afterRollback(nats: TestNats, follow: (nc: NatsConnection) => Promise<GraphFollower>) {
    const options = { maxReconnectAttempts: -1, reconnectTimeWait: 50 };
    const bridge = await nats.connect("bridge", "CORE", options);
    const nc = await nats.connect("authcallout", "CORE", options);
    const taken = (changes: GraphChange[]) =>
      until(() => commit(nats, bridge, changes).catch(() => null), "the server to take it");
    const store = join(nats.server.dir, "store");
    const saved = join(nats.server.dir, "saved");
    await taken([user, token(1), token(2)]);
    const follower = await follow(nc);
    await follower.start();
    await nats.server.kill9();
    await cp(store, saved, { recursive: true });
    await nats.server.restart();

    const lost = await taken([token(3)]).then(() => taken([token(4)]));
    await follower.reached(lost);
    await until(() => {
      bridge.publish(nats.subjects.graphBeat, JSON.stringify({ time: Date.now(), revision: lost }));
      return follower.age(Date.now()) < 5_000;
    }, "a beat");

    await nats.server.kill9();
    await rm(store, { recursive: true });
    await cp(saved, store, { recursive: true });
    const before = nc.info?.server_id;
    await nats.server.restart();
    await until(() => nc.info?.server_id !== before, "the connection to come back");
    const age = follower.age(Date.now());
    const removal = await taken([token(1, null)]);
    assert.ok(removal.sequence <= lost.sequence, "an old sequence");
    const has = (n: number) => follower.tokens.bySessionToken(token(n).uuid, Date.now()) !== null;
    return { follower, has, lost, age, taken };
  }

  it("a follower trusts nothing it has, reads GRAPH anew, and sees the removal under an old sequence", async () => {
    await using nats = await startNats({ reconnect: true });
    const loaded: Revision[] = [];
    const { follower, has, age } = await afterRollback(nats, (nc) => followerOn(nats, nc, loaded));
    await using _ = { [Symbol.asyncDispose]: () => follower.stop() };
    assert.equal(age, Number.POSITIVE_INFINITY, "from the first moment");
    await until(() => loaded.length === 3 && !has(1), "the removal to be seen");
    assert.ok(has(2) && !has(4), "and what was lost is gone");
  });

  it("it would go on as if nothing was, with what was removed and what was lost: negative control", async () => {
    await using nats = await startNats({ reconnect: true });
    const loaded: Revision[] = [];
    const { follower, has, lost, age, taken } = await afterRollback(nats, async (nc) => {
      const [blind, jsm] = unnoticed(nc, await jetstreamManager(nc));
      return followerOn(nats, blind, loaded, { jsm });
    });
    await using _ = { [Symbol.asyncDispose]: () => follower.stop() };
    assert.ok(age < 60_000, "it takes itself for young");
    const later = await until(async () => {
      const revision = await taken([token(5)]);
      return revision.sequence > lost.sequence ? revision : null;
    }, "GRAPH to be as long as before");
    await follower.reached(later);
    assert.deepEqual([loaded.length, has(1), has(4), has(5)], [1, true, true, true]);
  });
});
