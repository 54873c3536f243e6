/**
 * Content fuzz: rows of any content through a real PostgreSQL, bridge and nats-server. After each round the bridge must be where PostgreSQL is,
 * in the term in which it began, and GRAPH may grant nothing that Arvados' rules do not give by the rows in the database.
 */

import { jetstreamManager } from "@nats-io/jetstream";
import pg from "pg";
import { readStoredGraph } from "../../bridge/takeover/stored-state.ts";
import { mulberry32, type Random } from "../../dev/testing/random.ts";
import { until } from "../../dev/testing/until.ts";
import { CLUSTER } from "../support/servers/postgres.ts";
import type { BridgeWorld } from "../support/worlds/bridge-world.ts";
import { findings } from "./rights.ts";
import type { Cast } from "./values.ts";
import { type Counts, FuzzWriter, readSchema } from "./writer.ts";

export type FuzzOptions = {
  seconds: number;
  seed: number;
  /** Bytes of the longest text. */
  longest: number;
  say?: (line: string) => void;
};

export type FuzzResult = Counts & { rounds: number; terms: number; findings: string[] };

/** Transactions between two looks. */
const ROUND = 150;

export async function fuzz(
  world: BridgeWorld,
  { seconds, seed, longest, say = () => {} }: FuzzOptions,
): Promise<FuzzResult> {
  const random = mulberry32(seed);
  const pool = new pg.Pool({ ...world.database.config, max: 2, options: "-c TimeZone=UTC" });
  const client = new pg.Client(world.database.config);
  await client.connect();
  const core = await world.nats.connect("gateway", "CORE");
  const jsm = await jetstreamManager(core);
  try {
    const writer = new FuzzWriter(client, await readSchema(pool), castOf(random), { longest }, random);
    const found: string[] = [];
    let rounds = 0;
    for (const end = Date.now() + seconds * 1_000; Date.now() < end && found.length === 0; rounds++) {
      for (let left = ROUND; left > 0 && Date.now() < end; left--) await writer.transaction();
      await caughtUp(world, rounds);
      const { rows } = await readStoredGraph(core, jsm, world.nats.subjects);
      found.push(...(await findings(pool, rows, Date.now())));
      say(`round ${rounds}: ${JSON.stringify(writer.counts)}, ${found.length} findings`);
    }
    const terms = await world.terms();
    const { alterations } = writer.counts;
    if (terms > 1 + alterations)
      found.push(`the bridge has begun ${terms} terms, and tables were altered ${alterations} times`);
    return { ...writer.counts, rounds, terms, findings: found };
  } finally {
    await client.end();
    await pool.end();
  }
}

/** What is written now reaches GRAPH and RECORDS. */
async function caughtUp(world: BridgeWorld, round: number): Promise<void> {
  const { uuid: user } = await world.arvados.createUser({ username: `marker${round}` });
  const { uuid } = await world.arvados.createCollection({ name: `marker${round}`, owner: user });
  const subject = world.nats.subjects.record(`${user}.${uuid}.collections`);
  let seen = "";
  await until(
    async () => {
      const inGraph = (await world.graphRow("user", user)) !== null;
      const figures = (await world.metricsText()).match(/^arvados_nats_bridge_(lag|terms|leading|graph_age)\S* \S+$/gm);
      seen = `GRAPH ${inGraph ? "has" : "lacks"} the marker; ${figures?.join(", ")}`;
      return (await world.lastOn(subject)) !== null;
    },
    () => `the bridge to be where PostgreSQL is: ${seen}`,
  );
}

function castOf(random: Random): Cast {
  const make = (infix: string, count: number) =>
    Array.from(
      { length: count },
      (_, n) => `${CLUSTER}-${infix}-${String(n).padStart(14, "0")}${Math.floor(random() * 10)}`,
    );
  return {
    users: [...make("tpzed", 6), `${CLUSTER}-tpzed-000000000000000`, `${CLUSTER}-tpzed-anonymouspublic`],
    groups: [...make("j7d0g", 10), `${CLUSTER}-j7d0g-fffffffffffffff`, `${CLUSTER}-j7d0g-000000000000000`],
    objects: ["4zz18", "4zz18", "xvhdp", "7fd4e", "oss07", "fngyi", "2x53u"].flatMap((infix) => make(infix, 3)),
    links: make("o0j2j", 15),
    tokens: make("gj3su", 6),
    containers: make("dz642", 4),
  };
}
