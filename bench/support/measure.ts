/** Timing, percentiles and the table and JSON that benchmarks share. */
import { writeFile } from "node:fs/promises";

/** `target`: what `value` may be at most or, where `bound` says so, at least; null = for information. */
export type Measurement = {
  name: string;
  value: number;
  unit: string;
  target: number | null;
  bound: "most" | "least";
  ok: boolean;
};

export function row(name: string, value: number, unit: string, most: number | null = null): Measurement {
  return { name, value: rounded(value), unit, target: most, bound: "most", ok: most === null || value <= most };
}

export function rowAtLeast(name: string, value: number, unit: string, least: number): Measurement {
  return { name, value: rounded(value), unit, target: least, bound: "least", ok: value >= least };
}

function rounded(value: number): number {
  return Number(value.toPrecision(4));
}

/** The value below which `share` (0 to 1) of them lie. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** Times of single calls, in milliseconds. */
export class Samples {
  #times: Float64Array;
  #count = 0;

  constructor(expected = 1024) {
    this.#times = new Float64Array(expected);
  }

  time<T>(call: () => T): T {
    const start = performance.now();
    const result = call();
    this.#add(performance.now() - start);
    return result;
  }

  async timeAsync<T>(call: () => Promise<T>): Promise<T> {
    const start = performance.now();
    const result = await call();
    this.#add(performance.now() - start);
    return result;
  }

  /** The value below which `share` (0 to 1) of the calls stayed. */
  percentile(share: number): number {
    const sorted = this.#times.subarray(0, this.#count).toSorted();
    return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
  }

  #add(time: number): void {
    if (this.#count === this.#times.length) {
      const grown = new Float64Array(this.#count * 2);
      grown.set(this.#times);
      this.#times = grown;
    }
    this.#times[this.#count++] = time;
  }
}

/** p50, p99 and the highest of some times in milliseconds; `target` is p99's. */
export function percentiles(what: string, times: readonly number[], target: number | null = null): Measurement[] {
  return [
    row(`${what}: p50`, quantile(times, 0.5), "ms"),
    row(`${what}: p99 of ${times.length}`, quantile(times, 0.99), "ms", target),
    row(`${what}: max`, quantile(times, 1), "ms"),
  ];
}

export function table(rows: readonly Measurement[]): string {
  const cells = rows.map(({ name, value, unit, target, bound, ok }) => [
    name,
    `${value} ${unit}`,
    target === null ? "" : `${bound === "most" ? "<=" : ">="} ${target} ${unit}`,
    target === null ? "" : ok ? "ok" : "MISSED",
  ]);
  const widths = [0, 1, 2, 3].map((i) => Math.max(...cells.map((row) => (row[i] as string).length)));
  return cells
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] as number))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

export async function writeResults(file: string, bench: string, rows: readonly Measurement[]): Promise<void> {
  await writeFile(file, `${JSON.stringify({ bench, rows }, null, 2)}\n`);
}

/** `--json FILE` and `--quick`, as every benchmark takes them. */
export function benchArgs(args: readonly string[]): { json: string | null; quick: boolean } {
  const at = args.indexOf("--json");
  return { json: at < 0 ? null : (args[at + 1] ?? null), quick: args.includes("--quick") };
}
