/**
 * `npm run bench:login [-- --quick] [-- --json FILE]`: logins through our callout, through a minimal Go one, and by a static list,
 * in the same run, in rotating order; then each callout alone, by requests made beforehand. Targets are ratios: the medians of the
 * rounds, each against Go's of the same round.
 */
import { createScope } from "../../runtime/scope.ts";
import { loginStorm } from "../support/login-client.ts";
import {
  benchArgs,
  type Measurement,
  median,
  quantile,
  row,
  rowAtLeast,
  table,
  writeResults,
} from "../support/measure.ts";
import { processorTime } from "../support/processes.ts";
import { type Alone, createAsker } from "./callout-alone.ts";
import { SIZES, startLoginWorld, type Variant } from "./login-world.ts";

const { json, quick } = benchArgs(process.argv.slice(2));
const ROUNDS = quick ? 3 : 5;
const WARM_MS = quick ? 250 : 1_000;
const CELL_MS = quick ? 300 : 1_500;
const PARALLEL = [1, 32] as const;

type Measure = { perSecond: number; p50: number; p99: number; cpu: number };

await using scope = createScope();
const { variants, alone: callouts } = await startLoginWorld(scope);
const measured = new Map<string, Measure[]>();
for (const variant of variants) for (const size of SIZES) await loginStorm(variant.target(size), 8, WARM_MS);
for (let round = 0; round < ROUNDS; round++) {
  for (const size of SIZES) {
    for (const parallel of PARALLEL) {
      for (const variant of rotated(variants, round)) {
        const key = cell(variant.name, size, parallel);
        measured.set(key, [...(measured.get(key) ?? []), await measure(variant, size, parallel)]);
      }
    }
  }
}
const alone = new Map<string, Alone[]>();
const askers = await Promise.all(
  callouts.map(async ({ name, service }) => ({ name, asker: await createAsker(service) })),
);
for (let round = 0; round < ROUNDS; round++) {
  for (const size of SIZES) {
    for (const { name, asker } of rotated(askers, round)) {
      const key = `${name} ${size}`;
      alone.set(key, [...(alone.get(key) ?? []), await asker.measure(size, CELL_MS)]);
    }
  }
}
await Promise.all(askers.map(({ asker }) => asker.close()));
const rows = [
  ...SIZES.flatMap((size) => PARALLEL.flatMap((parallel) => rowsOf(size, parallel))),
  ...SIZES.flatMap(aloneRows),
];
console.log(table(rows));
if (json !== null) await writeResults(json, "login", rows);

async function measure(variant: Variant, size: number, parallel: number): Promise<Measure> {
  const { service } = variant;
  const before = service ? await processorTime(service.pid) : 0;
  const { perSecond, times } = await loginStorm(variant.target(size), parallel, CELL_MS);
  const cpu = service ? ((await processorTime(service.pid)) - before) / times.length : 0;
  return { perSecond, p50: quantile(times, 0.5), p99: quantile(times, 0.99), cpu };
}

function rowsOf(size: number, parallel: number): Measurement[] {
  const of = (name: Variant["name"]) => measured.get(cell(name, size, parallel)) as Measure[];
  const what = `${size} grants, ${parallel} at a time`;
  const plain = (["ours", "go", "static"] as const).flatMap((name) => [
    row(`${what}: ${name}`, median(of(name).map(({ perSecond }) => perSecond)), "logins/s"),
    row(`${what}: ${name} p50`, median(of(name).map(({ p50 }) => p50)), "ms"),
    row(`${what}: ${name} p99`, median(of(name).map(({ p99 }) => p99)), "ms"),
  ]);
  const ratio = (pick: (one: Measure) => number) =>
    median(of("ours").map((one, i) => pick(one) / pick(of("go")[i] as Measure)));
  const speed = ratio(({ perSecond }) => perSecond);
  const cpu = ratio((one) => one.cpu);
  return [
    ...plain,
    rowAtLeast(`${what}: our logins/s by Go's`, speed, "x", 1.1),
    row(`${what}: our processor time a login`, median(of("ours").map((one) => one.cpu)), "ms"),
    row(`${what}: Go's processor time a login`, median(of("go").map((one) => one.cpu)), "ms"),
    row(`${what}: our processor time by Go's`, cpu, "x", size === 100 ? 0.6 : null),
  ];
}

function aloneRows(size: number): Measurement[] {
  const of = (name: "ours" | "go", pick: (one: Alone) => number) =>
    median((alone.get(`${name} ${size}`) ?? []).map(pick));
  return (["ours", "go"] as const).flatMap((name) => [
    row(
      `${size} grants, no logins: ${name}`,
      of(name, ({ perSecond }) => perSecond),
      "requests/s",
    ),
    row(
      `${size} grants, no logins: ${name}, processor time`,
      of(name, ({ cpu }) => cpu),
      "ms",
    ),
  ]);
}

function rotated<T>(list: readonly T[], by: number): T[] {
  return list.map((_, i) => list[(i + by) % list.length] as T);
}

function cell(name: string, size: number, parallel: number): string {
  return `${name} ${size} ${parallel}`;
}
