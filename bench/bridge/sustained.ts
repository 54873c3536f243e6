/** How fast the bridge works off what was committed while it was stopped: PostgreSQL's writers take no part of the cores then. */
import { until } from "../../dev/testing/until.ts";
import { type Measurement, row, rowAtLeast } from "../support/measure.ts";
import type { BridgeBench } from "./bridge-world.ts";

const LARGE_TARGET = 15_000;
const MEMORY_TARGET_MIB = 768;
/** Nobody can sign in from `staleness.refuse` (10 s) on. */
const AGE_TARGET_S = 5;
const MANY = 100;

export async function sustained(world: BridgeBench, quick: boolean): Promise<Measurement[]> {
  const { load } = world;
  const scale = quick ? 1 : 4;
  const large = quick ? 50_000 : 200_000;
  const rate = async (subscribers: number, burst: () => Promise<number>): Promise<number> => {
    await world.settled();
    let seen = 0;
    await using _ = await world.subscribe(subscribers, () => void seen++);
    world.pause();
    const events = await burst();
    const begun = performance.now();
    world.goOn();
    await until(() => seen >= events * subscribers, "all events", 120_000);
    return (events / (performance.now() - begun)) * 1_000;
  };
  const single = await rate(1, () => load.burst(5_000 * scale, 1, 4));
  const tens = await rate(1, () => load.burst(1_000 * scale, 10, 4));
  const many = await rate(MANY, () => load.burst(100 * scale, 10, 4));
  const thousands = await rate(1, () => load.burst(3 * scale, 10_000, 1));
  const before = await world.memory("VmRSS");
  const one = await rate(1, () => load.burst(1, large, 1));
  await world.settled();
  const age = await world.greatestAge(() => load.burst(1, large, 1));
  return [
    row("sustained, one event per commit", single, "events/s"),
    row("sustained, 10 events per commit", tens, "events/s"),
    row(`sustained, 10 events per commit, ${MANY} subscribers (all in one process)`, many, "events/s"),
    rowAtLeast("sustained, commits of 10,000", thousands, "events/s", LARGE_TARGET),
    rowAtLeast(`sustained, one commit of ${large}`, one, "events/s", LARGE_TARGET),
    row(`the graph's greatest age while a commit of ${large} passes`, age, "s", AGE_TARGET_S),
    row("bridge's memory before the largest commit", before, "MiB"),
    row("bridge's memory at its peak", await world.memory("VmHWM"), "MiB", MEMORY_TARGET_MIB),
  ];
}
