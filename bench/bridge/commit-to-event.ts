/** From COMMIT to an event at 10 subscribers, beside a bare LISTEN relay: by turns, so that other load on the host meets both. */
import { until } from "../../dev/testing/until.ts";
import { type Measurement, quantile, row } from "../support/measure.ts";
import type { BridgeBench } from "./bridge-world.ts";
import { startNotifyRelay } from "./relay.ts";

const SUBSCRIBERS = 10;
const ROUNDS = 3;
/** The rate whose ratios have targets, and from which on the bridge must not fall behind. */
const [TARGET_RATE, FULL_RATE] = [100, 1_000];
const LAG_TARGET_MS = 500;
const SHARES = [
  { name: "p50", share: 0.5, target: 2.5 },
  { name: "p99", share: 0.99, target: 4 },
];

/** Milliseconds from COMMIT to each subscriber, by object. */
class Stopwatch {
  readonly #begun = new Map<string, number>();
  readonly delays: number[] = [];
  begin = (object: string) => void this.#begun.set(object, performance.now());
  seen = (object: string) => {
    const begun = this.#begun.get(object);
    if (begun !== undefined) this.delays.push(performance.now() - begun);
  };
}

/** @param rate commits a second, each of an object never seen before */
export async function commitToEvent(world: BridgeBench, rate: number, seconds: number): Promise<Measurement[]> {
  const { load } = world;
  const [relayed, bridged] = [new Stopwatch(), new Stopwatch()];
  let lag = 0;
  for (let round = 0; round < ROUNDS; round++) {
    world.pause();
    const relay = await startNotifyRelay(world.url, SUBSCRIBERS, relayed.seen);
    const wanted = relayed.delays.length + SUBSCRIBERS * (await load.paced(rate, seconds / ROUNDS, relayed.begin));
    await until(() => relayed.delays.length >= wanted, "the relay", 60_000);
    await relay.close();
    world.goOn();
    await world.settled();

    await using _ = await world.subscribe(SUBSCRIBERS, bridged.seen);
    const due = bridged.delays.length + SUBSCRIBERS * (await load.paced(rate, seconds / ROUNDS, bridged.begin));
    const ended = performance.now();
    await until(() => bridged.delays.length >= due, "the bridge", 60_000);
    lag = Math.max(lag, performance.now() - ended);
  }
  const rows = SHARES.flatMap(({ name, share, target }) => {
    const [own, floor] = [quantile(bridged.delays, share), quantile(relayed.delays, share)];
    const what = `COMMIT -> event ${name}, ${rate}/s`;
    return [
      row(`${what}: relay`, floor, "ms"),
      row(`${what}: bridge`, own, "ms"),
      row(`${what}: bridge / relay`, own / floor, "x", rate === TARGET_RATE ? target : null),
    ];
  });
  const behind = row(`lag after ${(seconds / ROUNDS).toFixed(1)} s at ${rate}/s`, lag, "ms", LAG_TARGET_MS);
  return rate >= FULL_RATE ? [...rows, behind] : rows;
}
