/** A follower of GRAPH whose server loses its power: what it knew may never have been, and the same sequences say something else. */
import assert from "node:assert/strict";
import { cp, rm } from "node:fs/promises";
import { join } from "node:path";
import { type JetStreamManager, jetstream, jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { barrierSubject, formatBarrierEntry } from "../../core/barrier/entry.ts";
import type { Revision } from "../../core/revision.ts";
import type { GraphChange, TokenRow } from "../../core/rows.ts";
import type { Subjects } from "../../core/subjects.ts";
import { TokenIndex } from "../../core/token/token-index.ts";
import { formatGraphEntry } from "../../core/wire/graph-entry.ts";
import { until } from "../../dev/testing/until.ts";
import {
  type GraphFailure,
  PermissionReplica,
  type PermissionReplicaOptions,
} from "../../replica/permission-replica.ts";
import { failureSays } from "../../replica/replica-health.ts";
import { followStream } from "../../runtime/nats/stream-follower.ts";
import { startNats, type TestNats } from "../support/servers/nats.ts";

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

type Seams = { onRead?: () => void; jsm?: JetStreamManager } & Partial<PermissionReplicaOptions>;

async function followerOn(nats: TestNats, nc: NatsConnection, loaded: Revision[], seams: Seams = {}) {
  const { onRead, jsm, ...options } = seams;
  // Each message is compared with the commit's subject.
  const subjects: Subjects = Object.defineProperty({ ...nats.subjects }, "graphCommit", {
    get() {
      onRead?.();
      return nats.subjects.graphCommit;
    },
  });
  return new PermissionReplica({
    nc,
    js: jetstream(nc),
    jsm: jsm ?? (await jetstreamManager(nc)),
    subjects,
    graph: { clusterId: "zzzzz", roleGroupsVisibleToAll: true, audienceMin: 20 },
    tokens: { clusterId: "zzzzz", systemRootToken: "", anonymousSecret: "" },
    onApplied: () => {},
    onLoaded: (revision) => loaded.push(revision),
    onTrouble: () => {},
    ...options,
  });
}

describe("where GRAPH ends with half a commit", () => {
  it("a replica that starts waits for the other half, because what the first half replaced is gone", async () => {
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

describe("the aliases of session tokens", () => {
  const session = `h${"a".repeat(26)}`;

  /** A replica that has loaded one token; the callout's alias for a bare session token of it is in BARRIER. */
  async function withAlias(nats: TestNats, seams: Seams) {
    const bridge = await nats.connect("bridge", "CORE");
    const callout = await nats.connect("authcallout", "CORE");
    await commit(nats, bridge, [user, token(1)]);
    const entry = { kind: "alias", session, token: token(1).uuid } as const;
    await jetstream(callout).publish(barrierSubject(nats.subjects, entry), formatBarrierEntry(entry));
    const follower = await followerOn(nats, await nats.connect("gateway", "CORE"), [], seams);
    await follower.start();
    return follower;
  }

  const identity = ({ tokens }: PermissionReplica) => tokens.bySessionToken(session, Date.now());

  it("are followed where the replica is asked to", async () => {
    await using nats = await startNats();
    const follower = await withAlias(nats, { aliases: {} });
    await using _ = { [Symbol.asyncDispose]: () => follower.stop() };
    const found = await until(() => identity(follower), "the alias to be read");
    assert.deepEqual([found.user, found.token], [USER, token(1).uuid]);
  });

  it("are unknown otherwise until somebody remembers them: negative control", async () => {
    await using nats = await startNats();
    const follower = await withAlias(nats, {});
    await using _ = { [Symbol.asyncDispose]: () => follower.stop() };
    assert.equal(identity(follower), null);
    follower.remember({ session, token: token(1).uuid });
    assert.ok(identity(follower));
  });
});

describe("a commit that cannot be applied", () => {
  /** A follower that has applied two tokens and is vouched for; the next commit, which takes the first, throws while it is applied. */
  async function beforeFailure(nats: TestNats, more: Partial<PermissionReplicaOptions> = {}) {
    const bridge = await nats.connect("bridge", "CORE");
    const nc = await nats.connect("authcallout", "CORE");
    const loaded: Revision[] = [];
    const failures: (GraphFailure & { age: number })[] = [];
    const follower: PermissionReplica = await followerOn(nats, nc, loaded, {
      onFailure: (failure) => void failures.push({ ...failure, age: follower.age(Date.now()) }),
      ...more,
    });
    const revision = await commit(nats, bridge, [user, token(1), token(2)]);
    await follower.start();
    const beat = (upTo: Revision) =>
      until(() => {
        bridge.publish(nats.subjects.graphBeat, JSON.stringify({ time: Date.now(), revision: upTo }));
        return follower.age(Date.now()) < 5_000;
      }, "a beat");
    await beat(revision);
    const has = (n: number) => follower.tokens.bySessionToken(token(n).uuid, Date.now()) !== null;
    return { bridge, follower, loaded, failures, has, beat };
  }

  const SECRET = "what stood in the row";
  const broken = () => {
    throw new RangeError(SECRET);
  };

  it("is not left out: no login is accepted, GRAPH is read again, and the revoked right is gone", async () => {
    await using nats = await startNats();
    const { bridge, follower, loaded, failures, has, beat } = await beforeFailure(nats);
    await using _ = { [Symbol.asyncDispose]: () => follower.stop() };
    follower.tokens.apply = broken;
    const removal = await commit(nats, bridge, [token(1, null)]);
    await until(() => loaded.length === 2, "the graph to be read again");
    assert.deepEqual([has(1), has(2), follower.failure], [false, true, null]);
    const [failure] = failures;
    assert.equal(failure?.age, Number.POSITIVE_INFINITY, "from the first moment");
    assert.deepEqual([failure?.what, failure?.sequence, failure?.times], ["commit", removal.sequence, 1]);
    assert.ok(!JSON.stringify(failures).includes(SECRET));
    await beat(removal);
  });

  it("would be left out, and the right would stay, if the exception were swallowed: negative control", async () => {
    await using nats = await startNats();
    let swallowed = 0;
    const { bridge, follower, loaded, has, beat } = await beforeFailure(nats, {
      follow: (options) =>
        followStream({
          ...options,
          onMessage(message) {
            try {
              options.onMessage(message);
            } catch {
              swallowed++;
            }
          },
        }),
    });
    await using _ = { [Symbol.asyncDispose]: () => follower.stop() };
    follower.tokens.apply = broken;
    await commit(nats, bridge, [token(1, null)]);
    await until(() => swallowed === 1, "the exception");
    Reflect.deleteProperty(follower.tokens, "apply");
    const later = await commit(nats, bridge, [token(3)]);
    await follower.reached(later);
    await beat(later);
    assert.deepEqual([loaded.length, has(1), has(3)], [1, true, true]);
  });

  it("blocks all logins while it fails again, is retried ever later, and is named without its content", async () => {
    await using nats = await startNats();
    const { bridge, follower, loaded, failures } = await beforeFailure(nats);
    await using _ = { [Symbol.asyncDispose]: () => follower.stop() };
    const real = TokenIndex.prototype.apply;
    TokenIndex.prototype.apply = broken;
    try {
      const { sequence } = await commit(nats, bridge, [token(1, null)]);
      await until(() => failures.length === 3, "three readings");
      assert.deepEqual(
        failures.map(({ times, age }) => [times, age]),
        [1, 2, 3].map((times) => [times, Number.POSITIVE_INFINITY]),
      );
      const says = follower.failure && failureSays(follower.failure);
      assert.match(
        says ?? "",
        new RegExp(`the commit at sequence ${sequence} of GRAPH could not be applied \\(3 times`),
      );
    } finally {
      TokenIndex.prototype.apply = real;
    }
    await until(() => loaded.length === 2, "the next reading");
    assert.equal(follower.failure, null);
  });

  it("is not caused by a row that cannot be read: it counts as deleted, and is counted", async () => {
    await using nats = await startNats();
    const unreadable: string[] = [];
    const { bridge, follower, loaded, has } = await beforeFailure(nats, {
      onUnreadable: ({ kind, uuid }) => void unreadable.push(`${kind} ${uuid}`),
    });
    await using _ = { [Symbol.asyncDispose]: () => follower.stop() };
    const { uuid } = token(1);
    await jetstream(bridge).publish(nats.subjects.graph("token", uuid), JSON.stringify({ uuid, row: { uuid } }));
    for (const odd of ["null", "{}", '{"time":null,"revision":null}', "x"])
      bridge.publish(nats.subjects.graphBeat, odd);
    await follower.reached(await commit(nats, bridge, [token(3)]));
    assert.deepEqual([has(1), has(2), has(3)], [false, true, true]);
    assert.deepEqual([unreadable, loaded.length], [[`token ${uuid}`], 1]);
    assert.ok(follower.age(Date.now()) < 60_000, "no beat that is none makes it look young or old");
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
  async function afterRollback(nats: TestNats, follow: (nc: NatsConnection) => Promise<PermissionReplica>) {
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

  it("a replica drops its state, reads GRAPH again, and sees the removal under an old sequence", async () => {
    await using nats = await startNats({ reconnect: true });
    const loaded: Revision[] = [];
    const { follower, has, age } = await afterRollback(nats, (nc) => followerOn(nats, nc, loaded));
    await using _ = { [Symbol.asyncDispose]: () => follower.stop() };
    assert.equal(age, Number.POSITIVE_INFINITY, "from the first moment");
    await until(() => loaded.length === 3 && !has(1), "the removal to be seen");
    assert.ok(has(2) && !has(4), "and what was lost is gone");
  });

  it("it would continue with what was removed and what was lost: negative control", async () => {
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
