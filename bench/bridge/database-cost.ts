/**
 * What the bridge takes from those who write: commits a second at half of what they could do alone, with the bridge and without; the same
 * where each commit does the NOTIFY that arvados-ws needs, which lets commits through one at a time. PostgreSQL, writers, bridge, nats-server
 * and a subscriber share the cores.
 */

import { type Measurement, median, row, rowAtLeast } from "../support/measure.ts";
import type { BridgeBench } from "./bridge-world.ts";

const ROUNDS = 3;
const KEPT_TARGET = 0.9;
const WARM_MS = 1_000;
/** Each differs from the next in one thing: taken in a circle, the bridge need not come and go with every one. */
const CASES = [
  { bridge: false, notify: false },
  { bridge: false, notify: true },
  { bridge: true, notify: true },
  { bridge: true, notify: false },
];

/** @param ms of each case in each round */
export async function databaseCost(world: BridgeBench, ms: number): Promise<Measurement[]> {
  const { load } = world;
  await world.stop();
  let isOn = false;
  const most = { plain: [] as number[], notify: [] as number[] };
  for (let round = 0; round < ROUNDS; round++) {
    most.plain.push(await load.writes(Number.POSITIVE_INFINITY, ms, false));
    most.notify.push(await load.writes(Number.POSITIVE_INFINITY, ms, true));
  }
  const offered = (notify: boolean) => median(notify ? most.notify : most.plain) / 2;

  const done = new Map(CASES.map((of) => [of, [] as number[]]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const of of [...CASES.slice(round), ...CASES.slice(0, round)]) {
      if (of.bridge && !isOn) {
        await world.start();
        // As one that has run for a while: Node compiles what runs often.
        await load.writes(offered(false), Math.max(ms, WARM_MS), false);
        await world.settled();
      }
      if (!of.bridge && isOn) await world.stop();
      isOn = of.bridge;
      await using _ = await world.subscribe(1, () => {});
      done.get(of)?.push(await load.writes(offered(of.notify), ms, of.notify));
    }
  }
  if (!isOn) await world.start();

  const doneWith = (bridge: boolean, notify: boolean) =>
    [...done].find(([of]) => of.bridge === bridge && of.notify === notify)?.[1] ?? [];
  return [false, true].flatMap((notify) => {
    const [off, on] = [doneWith(false, notify), doneWith(true, notify)];
    const what = `writers, NOTIFY ${notify ? "on" : "off"}`;
    const kept = median(on.map((rate, round) => rate / (off[round] as number)));
    return [
      row(`${what}: as fast as they can, without bridge`, offered(notify) * 2, "commits/s"),
      row(`${what}: of half of that, without bridge`, median(off), "commits/s"),
      row(`${what}: of half of that, with bridge`, median(on), "commits/s"),
      rowAtLeast(`${what}: with / without`, kept, "x", KEPT_TARGET),
    ];
  });
}
