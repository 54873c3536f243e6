/**
 * What the bridge takes from those who write: commits a second at half of what they could do alone, with the bridge and without, with
 * NOTIFY (what arvados-ws needs of each commit) and without. PostgreSQL, writers, bridge, nats-server and a subscriber share the cores.
 */
import type { BridgeWorld } from "./bridge-world.ts";
import { median, type Row, row, rowAtLeast } from "./measure.ts";

const ROUNDS = 3;
const KEPT_TARGET = 0.9;
/** Each differs from the next in one thing: taken in a circle, the bridge need not come and go with every one. */
const CASES = [
  { bridge: false, notify: false },
  { bridge: false, notify: true },
  { bridge: true, notify: true },
  { bridge: true, notify: false },
];

/** @param ms of each case in each round */
export async function databaseCost(world: BridgeWorld, ms: number): Promise<Row[]> {
  const { load } = world;
  await world.stop();
  let isOn = false;
  const most: number[] = [];
  for (let round = 0; round < ROUNDS; round++) most.push(await load.writes(Number.POSITIVE_INFINITY, ms, false));
  const offered = median(most) / 2;

  const done = new Map(CASES.map((of) => [of, [] as number[]]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const of of [...CASES.slice(round), ...CASES.slice(0, round)]) {
      if (of.bridge && !isOn) await world.start();
      if (!of.bridge && isOn) await world.stop();
      isOn = of.bridge;
      await using _ = await world.subscribe(1, () => {});
      done.get(of)?.push(await load.writes(offered, ms, of.notify));
    }
  }
  if (!isOn) await world.start();

  const doneWith = (bridge: boolean, notify: boolean) =>
    [...done].find(([of]) => of.bridge === bridge && of.notify === notify)?.[1] ?? [];
  return [
    row("writers alone, as fast as they can", offered * 2, "commits/s"),
    row("offered to them from here on", offered, "commits/s"),
    ...[false, true].flatMap((notify) => {
      const [off, on] = [doneWith(false, notify), doneWith(true, notify)];
      const what = `done of it, NOTIFY ${notify ? "on" : "off"}`;
      const kept = median(on.map((rate, round) => rate / (off[round] as number)));
      return [
        row(`${what}: without bridge`, median(off), "commits/s"),
        row(`${what}: with bridge`, median(on), "commits/s"),
        rowAtLeast(`${what}: with / without`, kept, "x", KEPT_TARGET),
      ];
    }),
  ];
}
