/** One run: writers write while everything else is killed at random; then RECORDS is compared with what was committed. */
import { mulberry32 } from "../support/random.ts";
import { until } from "../support/until.ts";
import { check, type Finding } from "./checker.ts";
import { readCommitLog } from "./commit-log.ts";
import type { World } from "./world.ts";
import { startWriters } from "./writers.ts";

export type ChaosOptions = { seconds: number; seed: number; writers?: number; say?: (line: string) => void };

export type ChaosResult = {
  findings: Finding[];
  commits: number;
  /** Log rows committed, and messages in RECORDS. */
  rows: number;
  messages: number;
  kills: Record<"bridge" | "nats-server" | "PostgreSQL", number>;
};

/** Between two kills, at least and at most, ms. */
const PAUSE = { min: 300, max: 2_500 };
const CATCH_UP_MS = 90_000;

export async function chaos(world: World, options: ChaosOptions): Promise<ChaosResult> {
  const { seconds, seed, say = () => {} } = options;
  const random = mulberry32(seed);
  const kills = { bridge: 0, "nats-server": 0, PostgreSQL: 0 };
  const bridges = [world.bridge("a"), world.bridge("b")];
  const writers = await startWriters(world.arvados, options.writers ?? 8, mulberry32(seed + 1));
  const end = performance.now() + seconds * 1_000;
  while (performance.now() < end) {
    await pause(PAUSE.min + random() * (PAUSE.max - PAUSE.min));
    const chance = random();
    const what = chance < 0.5 ? "bridge" : chance < 0.8 ? "nats-server" : "PostgreSQL";
    say(`kill -9 ${what}`);
    kills[what]++;
    if (what === "bridge") for (const bridge of random() < 0.5 ? bridges : bridges.slice(0, 1)) bridge.kill9();
    if (what === "nats-server") await world.killNats();
    if (what === "PostgreSQL") await world.killPostgres();
  }
  await writers.stop();
  const commits = await readCommitLog(world.pool);
  say(`${commits.length} commits; waiting for the bridge`);
  const last = commits
    .filter(({ logs }) => logs.some(({ type }) => type !== "update" && type !== "my_event"))
    .at(-1)?.lsn;
  let stored = await world.records();
  await until(
    async () => {
      stored = await world.records();
      return stored.some(({ lsn }) => lsn === last);
    },
    `the bridge to reach ${last}; it says ${bridges.map(({ lines }) => lines.slice(-3).join(" ")).join(" | ")}`,
    CATCH_UP_MS,
  );
  return {
    findings: check(commits, stored, writers.places, world.subjectPrefix),
    commits: commits.length,
    rows: commits.reduce((sum, { logs }) => sum + logs.length, 0),
    messages: stored.length,
    kills,
  };
}

/** The kills come at times of their own: nothing is awaited here. */
function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
