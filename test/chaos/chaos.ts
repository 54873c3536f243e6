/** One run: writers write while everything else is killed at random; then RECORDS is compared with what was committed. */
import { setTimeout as delay } from "node:timers/promises";
import { mulberry32, pick, type Random } from "../../dev/testing/random.ts";
import { until } from "../../dev/testing/until.ts";
import type { BridgeProcess } from "./bridge-child.ts";
import { asResumed, checkStreams, type StreamFinding } from "./checker.ts";
import { readCommitLog, type TrueCommit } from "./commit-log.ts";
import { syncedNow } from "./power-loss.ts";
import { reached } from "./scene.ts";
import type { ChaosWorld } from "./world.ts";
import { startRecordWriters, type Tally } from "./writers.ts";

/** Short, so that stops and power losses are as well; `sync_interval` and a margin pass before anything is confirmed. */
export const CHAOS_WORLD = { walSenderTimeout: 3_000, syncInterval: 3_000 };

export type ChaosOptions = {
  seconds: number;
  seed: number;
  writers?: number;
  /** Bridges without their fence: then there must be findings. */
  unfenced?: boolean;
  /** How far the run is, every ten seconds. */
  say?: (line: string) => void;
};

export type ChaosResult = {
  findings: StreamFinding[];
  commits: number;
  /** Log rows committed, and messages in RECORDS. */
  rows: number;
  messages: number;
  /** Why each began. */
  epochs: string[];
  /** What the writers' transactions were like. */
  tally: Tally & { outOfIdOrder: number; inParts: number };
  faults: Record<Fault, number>;
  /** What was done when (seconds). */
  story: string[];
};

type Fault = "bridge killed" | "bridge stopped" | "nats-server killed" | "power lost" | "PostgreSQL killed";

/** Between two faults, at least and at most, ms. */
const PAUSE = { min: 300, max: 2_500 };
/** Of however short a run on however slow a machine. */
const FEWEST_FAULTS = 5;
/** Between two stretches, ms: positions are confirmed, and PostgreSQL forgets what was before. */
const CALM_MS = 12_000;
const SAY_MS = 10_000;
/** And as long as it was written. */
const CATCH_UP_MS = 120_000;
/** A server of three is away for up to so long, ms. */
const AWAY_MS = 3_000;

export async function chaos(world: ChaosWorld, options: ChaosOptions): Promise<ChaosResult> {
  const { seconds, seed, unfenced = false, say = () => {} } = options;
  const random = mulberry32(seed);
  const begun = performance.now();
  const elapsed = () => (performance.now() - begun) / 1_000;
  const bridges = [world.bridge("a", { unfenced }), world.bridge("b", { unfenced })];
  const writers = await startRecordWriters(world.arvados, options.writers ?? 8, mulberry32(seed + 1));
  const faults: ChaosResult["faults"] = {
    "bridge killed": 0,
    "bridge stopped": 0,
    "nats-server killed": 0,
    "power lost": 0,
    "PostgreSQL killed": 0,
  };
  const story: string[] = [];
  const progress = (what: string) =>
    say(`${elapsed().toFixed(0)} s: ${writers.written()} transactions, ${story.length} faults; ${what}`);
  let doing = "writing";
  let coming: Fault[] = [];
  const saying = setInterval(() => progress(doing), SAY_MS);
  try {
    while (elapsed() < seconds || story.length < FEWEST_FAULTS) {
      if (coming.length === 0) {
        coming = stretch(world, random);
        if (story.length > 0) await delay(CALM_MS);
      }
      await delay(PAUSE.min + random() * (PAUSE.max - PAUSE.min));
      const fault = coming.shift() as Fault;
      faults[fault]++;
      story.push(`${elapsed().toFixed(1)} ${fault}`);
      await FAULTS[fault](world, bridges, random);
    }
    doing = "waiting for the bridge";
    await writers.stop();
    const commits = await readCommitLog(world.pool);
    const last = lastWithRoute(commits);
    await until(
      () => reached(world, last),
      () => `the bridge to reach ${last}; it says ${world.lastWords()}`,
      CATCH_UP_MS + seconds * 1_000,
    );
    doing = "comparing";
    const stored = await world.records();
    const leads = await world.leads();
    return {
      findings: checkStreams(commits, asResumed(stored, leads), writers.places, world.subjectPrefix),
      commits: commits.length,
      rows: commits.reduce((sum, { logs }) => sum + logs.length, 0),
      messages: stored.length,
      epochs: leads.filter(({ sequence, since }) => sequence === since).map(({ reason }) => reason),
      tally: {
        ...writers.tally,
        outOfIdOrder: outOfIdOrder(commits),
        inParts: new Set(stored.flatMap(({ part, lsn }) => (part === "" ? [] : [lsn]))).size,
      },
      faults,
      story,
    };
  } finally {
    clearInterval(saying);
  }
}

/** One stretch: each kind comes in it, in an order of chance's. */
function stretch(world: ChaosWorld, random: Random): Fault[] {
  // With copies elsewhere one server's power is nobody's.
  const power: Fault = world.nats.servers.length === 1 ? "power lost" : "nats-server killed";
  const left: Fault[] = [
    ...["bridge killed", "bridge killed", "bridge killed", "bridge stopped", "bridge stopped"],
    ...["nats-server killed", "nats-server killed", power, power, "PostgreSQL killed", "PostgreSQL killed"],
  ] as Fault[];
  const order: Fault[] = [];
  while (left.length > 0) order.push(...left.splice(Math.floor(random() * left.length), 1));
  return order;
}

const FAULTS: Record<Fault, (world: ChaosWorld, bridges: readonly BridgeProcess[], random: Random) => Promise<void>> = {
  async "bridge killed"(_world, bridges, random) {
    for (const bridge of random() < 0.5 ? bridges : bridges.slice(0, 1)) bridge.kill9();
  },

  async "bridge stopped"(world, bridges, random) {
    const leader = bridges.find(({ isLeader }) => isLeader) ?? pick(bridges, random);
    leader.signal("SIGSTOP");
    // The other one has taken over before it wakes up.
    await delay(world.walSenderTimeout * (1.25 + random()));
    leader.signal("SIGCONT");
  },

  async "nats-server killed"(world, _bridges, random) {
    await world.killNats(pick(world.nats.servers, random), random() * AWAY_MS);
  },

  async "power lost"(world, bridges, random) {
    const { server } = world.nats;
    await using synced = await syncedNow(server);
    await delay(random() * world.config.syncInterval);
    // Of what is written in order, nats-server writes its index too.
    const way = random();
    if (way < 0.3) await server.restart();
    if (random() < 0.3) for (const bridge of bridges) bridge.kill9();
    await server.kill9();
    if (way < 0.2) await synced.cutBlocks();
    else if (way < 0.6) await synced.zeroPage(random());
    else await synced.putBack();
    await server.restart();
  },

  async "PostgreSQL killed"(world) {
    await world.killPostgres();
  },
};

/** The position of the last commit that RECORDS must have something of. */
function lastWithRoute(commits: readonly TrueCommit[]): string {
  return (
    commits.findLast(({ logs }) => logs.some(({ type }) => type !== "update" && type !== "my_event"))?.lsn ?? "0/0"
  );
}

/** Commits whose first log row has a smaller id than an earlier commit's. */
function outOfIdOrder(commits: readonly TrueCommit[]): number {
  let greatest = 0;
  let count = 0;
  for (const { logs } of commits) {
    const id = logs[0]?.id ?? 0;
    if (id < greatest) count++;
    greatest = Math.max(greatest, id);
  }
  return count;
}
