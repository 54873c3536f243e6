/** One run: rights come and go while everybody listens; in rounds, after each of which what came is judged. */
import { randomInt } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection, nkeyAuthenticator } from "@nats-io/transport-node";
import pg from "pg";
import type { SystemAccount } from "../../authcallout/sessions/system-account.ts";
import { parseLsn } from "../../core/lsn.ts";
import { subjectsOf } from "../../core/subjects.ts";
import { mulberry32 } from "../../dev/testing/random.ts";
import { within } from "../../dev/testing/until.ts";
import { type ColumnTexts, type DecodedChange, readSlot } from "../support/servers/pgoutput.ts";
import { NO_BARRIER } from "../support/worlds/bridge-guards.ts";
import { startTestStack, type TestStack } from "../support/worlds/stack.ts";
import { type AttackName, makeAttacker } from "./attacker.ts";
import { type BarrierCast, makeCast } from "./cast.ts";
import { type BarrierFinding, checkRound, type Heard } from "./checker.ts";
import { History } from "./history.ts";
import { heardIn, type Recorder, startRecorder } from "./recorder.ts";
import { startRightsWriters } from "./writers.ts";

export type BarrierOptions = {
  seconds: number;
  /** Goes on for longer until this holds: on a slow machine less happens in the same time. */
  enough?: (result: BarrierResult) => boolean;
  /** Default 8. */
  roundSeconds?: number;
  seed: number;
  servers?: 1 | 3;
  /** false: the bridge's records wait for no removal. */
  barrier?: boolean;
  /** One more user, who does what hurts while the writers write; he is not judged. */
  attacker?: boolean;
  /** Ends the run with the first round in which something of this kind was found. */
  endWith?: BarrierFinding["what"];
  say?: (line: string) => void;
};

export type BarrierResult = {
  findings: BarrierFinding[];
  commits: number;
  /** States of the permissions. */
  permissions: number;
  sessions: number;
  heard: number;
  rounds: number;
  /** null = nobody attacked. */
  attacks: {
    /** How many of each were made. */
    made: Readonly<Record<AttackName, number>>;
    /** What the attacker was refused, by name. */
    refused: Readonly<Record<string, number>>;
  } | null;
};

const TABLES = ["users", "groups", "links", "collections", "api_client_authorizations"] as const;
const SLOT = { name: "barrier_truth", publication: "barrier_truth" };
const WRITERS = 3;
/** Every kick is this late at most: what the barrier is for shows, and with it nothing else. */
const KICK_MS = 200;
/** A round whose writers have stopped ends sooner, or in trouble. */
const END_MS = 60_000;

export async function barrierRun(options: BarrierOptions): Promise<BarrierResult> {
  const { seconds, roundSeconds = 8, seed, servers = 1, barrier = true, say = () => {}, enough = () => true } = options;
  const random = mulberry32(seed);
  const system = (real: SystemAccount): SystemAccount => ({
    ...real,
    async kick(server, cid) {
      await delay(randomInt(KICK_MS));
      return real.kick(server, cid);
    },
  });
  await using stack = await startTestStack({
    servers,
    authcallout: { system },
    bridge: barrier ? {} : NO_BARRIER,
    // With every other seed roles of three people are audiences, and become so and cease to be.
    overrides: { guessesPerMinute: 1_000_000, ...(seed % 2 ? { audienceMin: 2 } : {}) },
  });
  await using truth = await openTruth(stack);
  const cast = await makeCast(stack.arvados, random);
  // With chances of his own: the writers draw the same as without him.
  const attacker = options.attacker ? await makeAttacker(stack, cast, mulberry32(seed + 1)) : null;
  const recorders = await startRecorders(stack, cast);
  const attacks = attacker && { made: attacker.made, refused: attacker.refused };
  const result: BarrierResult = { findings: [], commits: 0, permissions: 0, sessions: 0, heard: 0, rounds: 0, attacks };
  let phase = "begins";
  const round = async (ms: number): Promise<BarrierFinding[]> => {
    phase = "the writers' end";
    const writers = startRightsWriters(stack.arvados, cast, WRITERS, random);
    const attack = attacker?.start();
    await delay(ms);
    await Promise.all([writers.stop(), attack?.stop()]);
    phase = "everybody's rights";
    const listening = recorders.filter(({ person }) => person === null || person.tokens.length > 0);
    await Promise.all(listening.map(({ recorder }) => recorder.settled()));
    phase = "the last events";
    const from = await truth.position();
    for (const uuid of [...cast.projects, ...cast.collections]) {
      await stack.arvados.updateObject(uuid, { name: `quiet ${result.rounds}` });
    }
    const to = await truth.position();
    await Promise.all(listening.map(({ recorder }) => recorder.caughtUp()));
    phase = "what the database and RECORDS say";
    const sessions = recorders.flatMap(({ recorder }) => recorder.take());
    const records = await truth.records();
    const history = await truth.history();
    const found = checkRound(history, { sessions, records, quiet: { from, to } });
    result.findings.push(...found);
    result.rounds++;
    result.commits = history.commits.length;
    result.permissions = history.versions;
    result.sessions += sessions.length;
    result.heard += sessions.reduce((sum, { heard }) => sum + heard.length, 0);
    const counts = `${history.commits.length} commits, ${sessions.length} sessions, ${result.heard} events heard`;
    say(`round ${result.rounds}: ${counts}, ${found.length} findings`);
    return found;
  };
  try {
    const end = performance.now() + seconds * 1_000;
    do {
      const ms = Math.max(Math.min(roundSeconds * 1_000, end - performance.now()), 1_000);
      const found = await within(round(ms), () => `round ${result.rounds + 1}: ${phase}`, ms + END_MS);
      if (found.some(({ what }) => what === options.endWith)) break;
    } while (performance.now() < end || !enough(result));
  } finally {
    await Promise.all(recorders.map(({ recorder }) => recorder.stop()));
  }
  return result;
}

type Listening = { person: BarrierCast["people"][number] | null; recorder: Recorder };

/** Two for each person, one that heeds notices and one that does not, and the admin, who hears all. */
async function startRecorders(stack: TestStack, cast: BarrierCast): Promise<Listening[]> {
  const { arvados, cluster, config } = stack;
  const subjects = subjectsOf(config.clusterId);
  const urls = () => stack.servers.map(({ url }) => url);
  const listening: Listening[] = [];
  const start = async (person: Listening["person"], name: string, heeds: boolean) => {
    const user = person?.uuid ?? cluster.users.admin.uuid;
    const { uuid: marker } = await arvados.createCollection({ name: "marker", owner: user });
    let marks = 0;
    const mark = async () => void (await arvados.updateCollection(marker, { name: `marker ${++marks}` }));
    const token = () => (person ? (person.tokens[0]?.v2 ?? null) : cluster.users.admin.token.v2);
    listening.push({
      person,
      recorder: startRecorder({ name, user, urls, subjects, token, mark, marker, heeds }),
    });
  };
  await start(null, "admin", true);
  for (const [place, person] of cast.people.entries()) {
    await start(person, `person ${place}`, true);
    await start(person, `person ${place}, deaf`, false);
  }
  return listening;
}

/** What the database and RECORDS say. */
async function openTruth(stack: TestStack) {
  const pool = new pg.Pool({ connectionString: stack.postgres.url("arvados"), max: 2 });
  pool.on("error", () => {});
  const { config } = stack;
  const nc = await connect({
    servers: stack.servers.map(({ url }) => url),
    authenticator: nkeyAuthenticator(new TextEncoder().encode(config.nkeys.gateway.STORE)),
    inboxPrefix: "_INBOX.gateway",
  });
  await pool.query(`CREATE PUBLICATION ${SLOT.publication} FOR TABLE logs, ${TABLES.join(", ")}`);
  await pool.query("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", [SLOT.name]);
  const history = new History(await rowsNow(pool), config.roleGroupsVisibleToAll);
  let next = (await (await jetstreamManager(nc)).streams.info("RECORDS")).state.last_seq + 1;
  return {
    async position(): Promise<bigint> {
      const { rows } = await pool.query<{ lsn: string }>("SELECT pg_current_wal_insert_lsn()::text AS lsn");
      return parseLsn((rows[0] as { lsn: string }).lsn);
    },
    /** All so far. */
    async history(): Promise<History> {
      for (const transaction of await readSlot(pool, SLOT, true)) history.add(transaction);
      return history;
    },
    /** Those since last asked. */
    async records(): Promise<Heard[]> {
      const read = await readRecords(nc, subjectsOf(config.clusterId).record(""), next);
      next = (read.at(-1)?.sequence ?? next - 1) + 1;
      return read;
    },
    async [Symbol.asyncDispose]() {
      await nc.close();
      await pool.end();
    },
  };
}

async function rowsNow(pool: pg.Pool): Promise<DecodedChange[]> {
  const text = { getTypeParser: () => (value: string) => value } as unknown as pg.CustomTypesConfig;
  const found: DecodedChange[] = [];
  for (const table of TABLES) {
    const { rows } = await pool.query<ColumnTexts>({ text: `SELECT * FROM ${table} ORDER BY id`, types: text });
    found.push(...rows.map((columns) => ({ table, op: "insert" as const, columns })));
  }
  return found;
}

/** As published live. */
async function readRecords(nc: NatsConnection, prefix: string, from: number): Promise<Heard[]> {
  const consumer = await jetstream(nc).consumers.get("RECORDS", {
    filter_subjects: `${prefix}>`,
    opt_start_seq: from,
  });
  const read: Heard[] = [];
  for (let left = (await consumer.info()).num_pending; left > 0; ) {
    for await (const message of await consumer.fetch({ max_messages: Math.min(left, 5_000), expires: 5_000 })) {
      left--;
      const heard = heardIn(message);
      const subject = message.subject.replace(".rec.", ".live.");
      if (heard) read.push({ ...heard, subject, sequence: message.seq });
    }
  }
  return read;
}
