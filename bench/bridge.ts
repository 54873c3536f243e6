/**
 * `npm run bench:bridge [-- --quick] [--json FILE]`: COMMIT -> event at 10 subscribers, beside a bare LISTEN relay in the same run, and
 * how many events a second the bridge sustains. All share this machine's cores, so figures compare within a run only.
 */
import { readFile, writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { startWorld, type World } from "../test/chaos/world.ts";
import { until } from "../test/support/until.ts";
import { createLoad } from "./commit-load.ts";
import { startRelay } from "./relay.ts";

type Row = { name: string; value: number; unit: string; target: string; ok: boolean | null };

const SUBSCRIBERS = 10;
const ROUNDS = 3;
const { values: options } = parseArgs({
  options: { quick: { type: "boolean", default: false }, json: { type: "string" } },
});
const { quick } = options;
const rows: Row[] = [];
const print = (line: string) => process.stdout.write(`${line}\n`);
function row(name: string, value: number, unit: string, target = "", ok: boolean | null = null): void {
  rows.push({ name, value: Number(value.toPrecision(4)), unit, target, ok });
  const verdict = ok === null ? "" : ok ? `  ok (${target})` : `  MISSED (${target})`;
  print(`${name.padEnd(58)} ${value.toPrecision(4).padStart(9)} ${unit}${verdict}`);
}

/** Milliseconds from COMMIT to each subscriber, by object. */
class Stopwatch {
  readonly #begun = new Map<string, number>();
  readonly delays: number[] = [];
  begin = (object: string) => void this.#begun.set(object, performance.now());
  seen = (object: string) => {
    const begun = this.#begun.get(object);
    if (begun !== undefined) this.delays.push(performance.now() - begun);
  };
  percentile(share: number): number {
    const sorted = [...this.delays].sort((a, b) => a - b);
    return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  }
}

/** As browsers get it, but straight from RECORDS' account: the callout is not what is measured. */
async function subscribe(world: World, count: number, onEvent: (object: string) => void): Promise<NatsConnection[]> {
  const subscribers = await Promise.all(Array.from({ length: count }, () => world.nats.connect("gateway", "STORE")));
  for (const nc of subscribers) {
    nc.subscribe(`${world.subjectPrefix}.live.>`, {
      callback: (_error, { subject }) =>
        onEvent(subject.slice(subject.lastIndexOf(".", subject.lastIndexOf(".") - 1) + 1, subject.lastIndexOf("."))),
    });
    await nc.flush();
  }
  return subscribers;
}

await using world = await startWorld();
const bridge = world.bridge("bench");
await until(() => bridge.leads(), "the bridge to lead", 30_000);
const { uuid: user } = await world.arvados.createUser({ username: "bench" });
const { uuid: project } = await world.arvados.createProject({ name: "bench", owner: user });
const { host, port, user: role, password, dbname } = world.config.postgres;
const url = `postgresql://${role}:${password}@${host}:${port}/${dbname}`;
const load = await createLoad(url, project);

const observer = await jetstreamManager(await world.nats.connect("gateway", "STORE"));
const lastSequence = async () => (await observer.streams.info("RECORDS")).state.last_seq;

/** Resolves when nothing has come for a while. */
async function settled(): Promise<void> {
  let before = await lastSequence();
  let since = performance.now();
  await until(
    async () => {
      const now = await lastSequence();
      if (now !== before) since = performance.now();
      before = now;
      return performance.now() - since > 300;
    },
    "the bridge to be idle",
    60_000,
  );
}

/** Relay and bridge by turns, so that what else the machine does meets both. */
async function latencies(rate: number, seconds: number): Promise<void> {
  const [relayed, bridged] = [new Stopwatch(), new Stopwatch()];
  let lag = 0;
  for (let round = 0; round < ROUNDS; round++) {
    bridge.signal("SIGSTOP");
    const relay = await startRelay(url, SUBSCRIBERS, relayed.seen);
    const wanted = relayed.delays.length + SUBSCRIBERS * (await load.paced(rate, seconds / ROUNDS, relayed.begin));
    await until(() => relayed.delays.length >= wanted, "the relay", 60_000);
    await relay.close();
    bridge.signal("SIGCONT");
    await settled();

    const subscribers = await subscribe(world, SUBSCRIBERS, bridged.seen);
    const due = bridged.delays.length + SUBSCRIBERS * (await load.paced(rate, seconds / ROUNDS, bridged.begin));
    const ended = performance.now();
    await until(() => bridged.delays.length >= due, "the bridge", 60_000);
    lag = Math.max(lag, performance.now() - ended);
    await Promise.all(subscribers.map((nc) => nc.close()));
  }
  for (const [name, share, bound] of [
    ["p50", 0.5, 2.5],
    ["p99", 0.99, 4],
  ] as const) {
    const [own, floor] = [bridged.percentile(share), relayed.percentile(share)];
    row(`COMMIT -> event ${name}, ${rate}/s: relay`, floor, "ms");
    row(`COMMIT -> event ${name}, ${rate}/s: bridge`, own, "ms");
    const target = rate === 100 ? `<= ${bound}` : "";
    row(
      `COMMIT -> event ${name}, ${rate}/s: bridge / relay`,
      own / floor,
      "x",
      target,
      rate === 100 ? own / floor <= bound : null,
    );
  }
  if (rate >= 1_000) row(`lag after ${seconds / ROUNDS} s at ${rate}/s`, lag, "ms", "< 500", lag < 500);
}

/** How fast the bridge works off what was committed while it was stopped: PostgreSQL's writers take no part of the cores then. */
async function sustained(what: string, target: number, burst: () => Promise<number>): Promise<void> {
  await settled();
  let seen = 0;
  const [subscriber] = await subscribe(world, 1, () => void seen++);
  bridge.signal("SIGSTOP");
  const events = await burst();
  const begun = performance.now();
  bridge.signal("SIGCONT");
  await until(() => seen >= events, what, 120_000);
  const rate = (events / (performance.now() - begun)) * 1_000;
  row(`sustained, ${what}`, rate, "events/s", target > 0 ? `>= ${target}` : "", target > 0 ? rate >= target : null);
  await subscriber?.close();
}

/** Resident memory of the bridge, MiB. */
async function memory(field: "VmHWM" | "VmRSS"): Promise<number> {
  const status = await readFile(`/proc/${bridge.pid}/status`, "utf8");
  return Number(new RegExp(`${field}:\\s+(\\d+)`).exec(status)?.[1]) / 1024;
}

await load.paced(200, 1, () => {}); // Warm.
await settled();
for (const [rate, seconds] of quick
  ? ([
      [1, 3],
      [100, 4],
      [1_000, 3],
    ] as const)
  : ([
      [1, 15],
      [100, 15],
      [1_000, 15],
    ] as const)) {
  await latencies(rate, seconds);
}
const scale = quick ? 1 : 4;
await sustained("one event per commit", 0, () => load.burst(5_000 * scale, 1, 4));
await sustained("10 events per commit", 0, () => load.burst(1_000 * scale, 10, 4));
await sustained("large commits of 10,000", 15_000, () => load.burst(3 * scale, 10_000, 1));
const before = await memory("VmRSS");
const large = quick ? 50_000 : 200_000;
await sustained(`one commit of ${large}`, 15_000, () => load.burst(1, large, 1));
row("bridge's memory at its peak", await memory("VmHWM"), "MiB", "< 768", (await memory("VmHWM")) < 768);
row("bridge's memory before the largest commit", before, "MiB");
await load.close();
if (options.json) await writeFile(options.json, `${JSON.stringify({ bench: "bridge", rows }, null, 2)}\n`);
process.exitCode = rows.some(({ ok }) => ok === false) ? 1 : 0;
