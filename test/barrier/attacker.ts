/**
 * One ordinary user who does what hurts, for as long as the rounds run: each attack in its turn, and small, so that what is judged is
 * everybody else, and not how much the host bears. What he is refused is counted by its name; any other error ends the run.
 */
import { setTimeout as delay } from "node:timers/promises";
import { errors, type NatsConnection } from "@nats-io/nats-core";
import { connect } from "@nats-io/transport-node";
import pg from "pg";
import { ask, GatewayError } from "../../client/ask.ts";
import { connectOptions, sessionId, sessionKey } from "../../client/mod.ts";
import { type SessionKey, type Subjects, subjectsOf } from "../../core/subjects.ts";
import type { TailOpened } from "../../core/wire/wire.ts";
import type { Simulator } from "../../dev/simulator/index.ts";
import { pick, type Random } from "../../dev/testing/random.ts";
import { startWorkers, type Workers } from "../support/clients/workers.ts";
import type { TestStack } from "../support/worlds/stack.ts";
import type { BarrierCast } from "./cast.ts";

/** In this order: a flood has him paused, longer each time, and what comes next needs no session. */
export const ATTACKS = [
  "wrong tokens",
  "hostile rows",
  "custom events",
  "long scopes",
  "shares with everybody",
  "unknown links",
  "single shares",
  "sessions",
  "tails",
  "large bodies",
  "questions",
] as const;
export type AttackName = (typeof ATTACKS)[number];

export type Attacker = {
  /** How many of each were made: logins refused, rows, links, sessions, tails, or messages. */
  readonly made: Readonly<Record<AttackName, number>>;
  /** What he was refused, by name. */
  readonly refused: Readonly<Record<string, number>>;
  /** Goes on where it was stopped. */
  start(): Workers;
};

/** He waits so long after each attack. */
const PAUSE_MS = 100;
const ASK_MS = 1_000;
const SESSIONS = 10;
const TAILS = 8;
const QUESTIONS = 4_000;
const BATCH = 500;
const BODIES = 10;
const BODY = "x".repeat(100_000);
const CUSTOM_EVENTS = 50;
const SINGLE_SHARES = 15;
const SCOPES = 1_000;

type Session = { nc: NatsConnection; key: SessionKey };
/** Resolves with how many were made. */
type Attack = () => Promise<number>;

export async function makeAttacker(stack: TestStack, cast: BarrierCast, random: Random): Promise<Attacker> {
  const { arvados, config } = stack;
  const subjects = subjectsOf(config.clusterId);
  const { uuid } = await arvados.createUser({ username: "attacker" });
  const by = { by: uuid };
  const token = await arvados.issueToken(uuid);
  const { uuid: project } = await arvados.createProject({ name: "attacker's", owner: uuid, ...by });
  const singles: string[] = [];
  for (let i = 0; i < SINGLE_SHARES; i++) {
    singles.push((await arvados.createCollection({ name: `single ${i}`, owner: uuid, ...by })).uuid);
  }
  const request = { name: "attacker's", owner: uuid, committed: true, ...by };
  const { container } = await arvados.createContainerRequest(request);
  if (!container) throw new Error("the attacker's request got no container");
  await arvados.runContainer(container);

  const made = Object.fromEntries(ATTACKS.map((name) => [name, 0])) as Record<AttackName, number>;
  const refused: Record<string, number> = {};
  /** null: he is refused, as he is meant to be. */
  const tried = async <T>(work: () => Promise<T>): Promise<T | null> => {
    try {
      return await work();
    } catch (error) {
      const name = refusalOf(error);
      if (name === null) throw error;
      refused[name] = (refused[name] ?? 0) + 1;
      return null;
    }
  };
  const signIn = (pass: string): Promise<Session | null> =>
    tried(async () => {
      const sid = sessionId();
      const options = { ...(await connectOptions(pass, sid)), reconnect: false, timeout: 5_000 };
      const nc = await connect({ servers: pick(stack.servers, random).url, ...options });
      return { nc, key: await sessionKey(pass, sid) };
    });
  const inSession = async (work: (session: Session) => Promise<number>): Promise<number> => {
    const session = await signIn(token.v2);
    if (!session) return 0;
    const count = await tried(() => work(session));
    await session.nc.close();
    return count ?? 0;
  };
  let flooding: Session | null = null;
  const attacks: Record<AttackName, Attack> = {
    ...rowAttacks({ arvados, cast, random, uuid, project, singles, tried }),
    async "wrong tokens"() {
      const wrong = [
        `v2/${token.uuid}/wrong${random()}`,
        `v2/${token.uuid.slice(0, -15)}${"x".repeat(15)}/${token.secret}`,
        `nothing${random()}`,
      ];
      for (const pass of wrong) {
        const session = await signIn(pass);
        if (!session) continue;
        await session.nc.close();
        throw new Error("a wrong token was let in");
      }
      return wrong.length;
    },
    async sessions() {
      const all = await Promise.all([...Array(SESSIONS)].map(() => signIn(token.v2)));
      const open = all.filter((session) => session !== null);
      await Promise.all(open.map(({ nc }) => nc.close()));
      return open.length;
    },
    tails: () =>
      inSession(async ({ nc, key }) => {
        let opened = 0;
        for (let i = 0; i < TAILS && !nc.isClosed(); i++) {
          const body = { container, file: "stdout.txt" };
          const tail = await tried(() => ask<TailOpened>(nc, subjects.api(key, "tail"), body, ASK_MS));
          if (tail) opened++;
          // Every other one gets a stop; the rest end with the session.
          if (tail && i % 2) await tried(() => ask(nc, subjects.api(key, "stop"), { id: tail.id }, ASK_MS));
        }
        return opened;
      }),
    async "large bodies"() {
      flooding = await signIn(token.v2);
      const session = flooding;
      return session ? ((await tried(() => flood(session, subjects, BODIES, BODY))) ?? 0) : 0;
    },
    async questions() {
      // The bodies alone need not have him cut.
      const session = flooding?.nc.isClosed() === false ? flooding : await signIn(token.v2);
      const sent = session && (await tried(() => flood(session, subjects, QUESTIONS, "")));
      await session?.nc.close();
      return sent ?? 0;
    },
  };
  let turn = 0;
  return {
    made,
    refused,
    start: () =>
      startWorkers(1, async () => {
        const name = ATTACKS[turn++ % ATTACKS.length] as AttackName;
        const count = await attacks[name]();
        made[name] += count;
        await delay(PAUSE_MS);
        return count > 0;
      }),
  };
}

/** Until he is cut. */
async function flood({ nc, key }: Session, subjects: Subjects, count: number, body: string): Promise<number> {
  const reply = `${subjects.inboxPrefix(key)}.flood`;
  nc.subscribe(reply, { callback() {} });
  let sent = 0;
  while (sent < count && !nc.isClosed()) {
    nc.publish(subjects.api(key, "whoami"), body, { reply });
    sent++;
    // A flush that was asked for when the connection closed never ends.
    const isFull = sent % (body === "" ? BATCH : 5) === 0;
    if (isFull) await Promise.race([nc.closed(), nc.flush().catch(() => undefined)]);
  }
  return sent;
}

type Rows = {
  arvados: Simulator;
  cast: BarrierCast;
  random: Random;
  uuid: string;
  project: string;
  singles: readonly string[];
  tried<T>(work: () => Promise<T>): Promise<T | null>;
};
type RowAttack =
  | "hostile rows"
  | "custom events"
  | "long scopes"
  | "shares with everybody"
  | "unknown links"
  | "single shares";

/** What he has Arvados write. */
function rowAttacks({ arvados, cast, random, uuid, project, singles, tried }: Rows): Record<RowAttack, Attack> {
  const by = { by: uuid };
  const strange = () => pick([...cast.collections, ...cast.projects], random);
  /** What is shared for a moment, in transactions of their own. */
  const shareAndBack = async (tail: string, heads: readonly string[]): Promise<number> => {
    let shared = 0;
    for (const head of heads) if (await tried(() => arvados.share(tail, head, "can_read", by))) shared++;
    for (const head of heads) await tried(() => arvados.unshare({ tail, head }, by));
    return shared;
  };
  return {
    async "hostile rows"() {
      const small = JSON.stringify({
        new_attributes: Object.fromEntries([...Array(60_000).keys()].map((i) => [`k${i}`, i])),
      });
      const deep = `${"[".repeat(10_000)}${"]".repeat(10_000)}`;
      const rows = [
        { objectUuid: strange(), eventType: "update", properties: `{"new_attributes":${deep}}` },
        { objectUuid: project, eventType: "mine", properties: `{"text":${deep}}` },
        { objectUuid: strange(), eventType: "update", properties: small },
        { objectUuid: project, eventType: "mine", properties: small },
        { objectUuid: strange(), eventType: "delete", properties: { old_attributes: { owner_uuid: uuid } } },
        { objectUuid: strange(), eventType: "left", properties: { old_attributes: { owner_uuid: uuid } } },
        { objectUuid: strange(), eventType: "update", properties: "not json" },
        { objectUuid: strange(), eventType: "update", properties: '["no", "object"]' },
        { objectUuid: "zzzzz-4zz18-*.>aaaaaaaaaaa", eventType: "evil\nevent.>" },
        { objectUuid: null },
      ];
      for (const row of rows) await arvados.insertForgedLog({ ...row, ...by });
      return rows.length;
    },
    async "custom events"() {
      const objects = [project, strange()];
      for (const objectUuid of objects) {
        await arvados.tx(async (operations) => {
          for (let i = 0; i < CUSTOM_EVENTS; i++) {
            await operations.insertForgedLog({ objectUuid, objectOwnerUuid: uuid, eventType: `custom${i % 3}`, ...by });
          }
        });
      }
      return objects.length * CUSTOM_EVENTS;
    },
    async "long scopes"() {
      const scopes = (kind: string) => [...Array(SCOPES).keys()].map((i) => `GET /arvados/v1/${kind}/${i}`);
      const { uuid: token } = await arvados.issueToken(uuid, { scopes: scopes("groups") });
      await arvados.setTokenScopes(token, scopes("collections"), by);
      await arvados.setTokenScopes(token, scopes("links"), by);
      await arvados.deleteToken(token, by);
      return 3;
    },
    async "shares with everybody"() {
      let shared = 0;
      for (let i = 0; i < 3; i++) shared += await shareAndBack(cast.everybody, [project]);
      return shared;
    },
    async "unknown links"() {
      const tails = [pick(cast.people, random).uuid, uuid, cast.everybody];
      for (const tail of tails) {
        const link = { linkClass: "permission", name: "can_everything", tail, head: project, ...by };
        await arvados.unshare((await arvados.createLink(link)).uuid, by);
      }
      return tails.length;
    },
    "single shares": () => shareAndBack(pick(cast.people, random).uuid, singles),
  };
}

/** The name of what he is meant to get; null: of anything else. */
function refusalOf(error: unknown): string | null {
  if (error instanceof GatewayError) return error.code < 500 || error.fault === "" ? error.fault || "no answer" : null;
  if (error instanceof errors.AuthorizationError) return "login refused";
  if (error instanceof errors.ClosedConnectionError || error instanceof errors.ConnectionError) return "cut";
  // A login that waits for a pause, or behind a flood.
  if (error instanceof errors.TimeoutError) return "too slow";
  // Whom he shared with was taken away, by a writer that was there first.
  if (error instanceof pg.DatabaseError && error.code === "40P01") return "deadlock";
  if (error instanceof Error && /nothing is shared/.test(error.message)) return "nothing is shared";
  return null;
}
