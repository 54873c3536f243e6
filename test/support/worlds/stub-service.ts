/**
 * The service as a client sees it, in small: a real nats-server, with a callout and a gateway that follow a table kept
 * by the test. For tests of what stands on the client's side.
 */
import { headers, type Msg, type NatsConnection } from "@nats-io/nats-core";
import { CLOSE_CODES, type CloseName } from "../../../core/close-codes.ts";
import { HEADER, type MoreRequest, type Notice, type TailRequest, type WhoamiAnswer } from "../../../core/wire/wire.ts";
import { startNats, type TestNats } from "../servers/nats.ts";
import { startTestCallout } from "./callout.ts";

export type StubUser = {
  name: string;
  tokenUuid: string;
  token: string;
  /** What the callout grants at the next login, and `whoami` says. Tails of `live`, in full. */
  grants: string[];
  mayReadLog: boolean;
};

export type StubTail = { user: StubUser; reply: string };

export type StubService = AsyncDisposable & {
  readonly nats: TestNats;
  readonly users: Record<"alice" | "bob", StubUser>;
  /** Changes grants and says so, as the callout would: grown = a notice, shrunk = a notice and a kick. */
  regrant(user: StubUser, grants: string[], mayReadLog?: boolean): Promise<void>;
  /** Stores an event in RECORDS, which the server republishes. Returns the commit time. */
  store(tail: string, object: string, event?: { type?: string; name?: string }): Promise<string>;
  notify(user: StubUser, name: CloseName): void;
  /** Kicks the user's connections; returns how many. */
  kick(user: StubUser): Promise<number>;
  /** Adds to the one log there is; open tails get it. */
  log(text: string): void;
  readonly logText: string;
  /** Ends the user's tails with `readRevoked`. */
  revokeTails(user: StubUser): void;
  readonly tails: readonly StubTail[];
  readonly moreRequests: readonly MoreRequest[];
  /** Resolves once the condition holds; looks after each request to the gateway. */
  until(condition: () => boolean): Promise<void>;
};

/** Chunks of a log are small, so that a short text is several messages. */
const CHUNK = 10;

export async function startStubService(): Promise<StubService> {
  const nats = await startNats();
  const { subjects } = nats;
  const users = {
    alice: stubUser("alice", "1", [subjects.live("alice.>")], true),
    bob: stubUser("bob", "2", [subjects.live("bob.>")], false),
  };
  const byUuid = (uuid: string) => Object.values(users).find((user) => user.tokenUuid === uuid);
  let revision = 1;
  let events = 0;
  let logText = "";
  const sids = new Map<StubUser, Set<string>>();
  const tails: StubTail[] = [];
  const moreRequests: MoreRequest[] = [];
  const waiting = new Set<() => void>();

  await startTestCallout(nats, ({ user: sid = "", auth_token, pass }) => {
    // Over the edge `pass` says where the client is.
    const user = Object.values(users).find(({ token }) => token === (auth_token ?? pass));
    if (user === undefined) return null;
    sids.set(user, (sids.get(user) ?? new Set()).add(sid));
    const key = { sessionToken: user.tokenUuid, sid };
    return {
      name: user.name,
      publish: [`${subjects.root}.api.${user.tokenUuid}.${sid}.>`],
      subscribe: [subjects.inbox(key), subjects.notice(key), ...user.grants],
    };
  });
  const gateway = await nats.connect("gateway", "APP");
  const callout = await nats.connect("authcallout", "APP");
  const store = await nats.connect("bridge", "STORE");
  const system = await nats.connect("authcallout", "SYS");

  const answer = (msg: Msg) => {
    const [uuid = "", , verb = ""] = msg.subject.split(".").slice(3);
    const user = byUuid(uuid);
    if (user === undefined) return;
    if (verb === "whoami") msg.respond(JSON.stringify(whoami(user, revision)));
    if (verb === "tail") openTail(user, msg);
    if (verb === "more") {
      moreRequests.push(msg.json<MoreRequest>());
      msg.respond("{}");
    }
    for (const look of [...waiting]) look();
  };
  gateway.subscribe(subjects.apiRequests, { callback: (_, msg) => answer(msg) });
  await gateway.flush();

  const openTail = (user: StubUser, msg: Msg) => {
    const reply = msg.reply ?? "";
    if (!user.mayReadLog) {
      const refusal = withHeaders({ [HEADER.error]: "read.forbidden", [HEADER.errorCode]: "403" });
      gateway.publish(reply, JSON.stringify({ message: "you may not read this" }), refusal);
      return;
    }
    const { from } = msg.json<TailRequest>();
    gateway.publish(reply, JSON.stringify({ id: reply }));
    tails.push({ user, reply });
    sendLog(reply, typeof from === "number" ? from : 0);
  };
  const sendLog = (reply: string, from: number) => {
    for (let at = from; at < logText.length; at += CHUNK) {
      const place = withHeaders({ [HEADER.logOffset]: String(at) });
      gateway.publish(reply, logText.slice(at, at + CHUNK), place);
    }
  };

  const service: StubService = {
    nats,
    users,
    tails,
    moreRequests,
    get logText() {
      return logText;
    },
    async regrant(user, grants, mayReadLog = user.mayReadLog) {
      const shrunk = user.grants.some((grant) => !grants.includes(grant));
      user.grants = grants;
      user.mayReadLog = mayReadLog;
      revision += 1;
      if (!mayReadLog) service.revokeTails(user);
      service.notify(user, shrunk ? "permissionsChanged" : "permissionsGrown");
      await Promise.all([gateway.flush(), callout.flush()]);
      if (shrunk) await service.kick(user);
    },
    async store(tail, object, { type = "update", name } = {}) {
      events += 1;
      const commitTime = new Date().toISOString();
      const body = { event_type: type, object_uuid: object, attributes: name === undefined ? {} : { name } };
      const options = withHeaders({ [HEADER.eventId]: `0/${events}:0`, [HEADER.commitTime]: commitTime });
      await store.request(subjects.record(tail), JSON.stringify(body), { ...options, timeout: 5_000 });
      return commitTime;
    },
    notify(user, name) {
      const notice: Notice = { notice: name, ...CLOSE_CODES[name], revision: `1.${revision}` };
      for (const sid of sids.get(user) ?? []) {
        callout.publish(subjects.notice({ sessionToken: user.tokenUuid, sid }), JSON.stringify(notice));
      }
    },
    kick: (user) => kick(system, user.name),
    log(text) {
      const from = logText.length;
      logText += text;
      for (const { reply } of tails) sendLog(reply, from);
    },
    revokeTails(user) {
      for (const { reply } of tails.filter((tail) => tail.user === user)) {
        gateway.publish(reply, "", withHeaders({ [HEADER.notice]: "readRevoked" }));
      }
      for (let i = tails.length - 1; i >= 0; i--) if (tails[i]?.user === user) tails.splice(i, 1);
    },
    until: (condition) =>
      new Promise((resolve) => {
        const look = () => {
          if (!condition()) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      }),
    [Symbol.asyncDispose]: () => nats[Symbol.asyncDispose](),
  };
  return service;
}

function stubUser(name: string, digit: string, grants: string[], mayReadLog: boolean): StubUser {
  const tokenUuid = `zzzzz-gj3su-${digit.repeat(15)}`;
  return { name, tokenUuid, token: `v2/${tokenUuid}/secret`, grants, mayReadLog };
}

function whoami(user: StubUser, revision: number): WhoamiAnswer {
  return {
    user_uuid: `zzzzz-tpzed-${user.tokenUuid.slice(-15)}`,
    token_uuid: user.tokenUuid,
    session: "",
    grants: { subscribe: user.grants, publish: [] },
    revision: `1.${revision}`,
    records_sequence: 0,
  };
}

async function kick(system: NatsConnection, name: string): Promise<number> {
  const reply = await system.request("$SYS.REQ.SERVER.PING.CONNZ", JSON.stringify({ auth: true, acc: "APP" }));
  const { server, data } = reply.json<{
    server: { id: string };
    data: { connections: { cid: number; authorized_user: string }[] };
  }>();
  const own = data.connections.filter((row) => row.authorized_user === name);
  for (const { cid } of own) await system.request(`$SYS.REQ.SERVER.${server.id}.KICK`, JSON.stringify({ cid }));
  return own.length;
}

function withHeaders(values: Record<string, string>): { headers: ReturnType<typeof headers> } {
  const made = headers();
  for (const [name, value] of Object.entries(values)) made.set(name, value);
  return { headers: made };
}
