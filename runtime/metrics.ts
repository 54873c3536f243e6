/**
 * Prometheus metrics of one service: its own registry, so that several services in one process (`arvados-nats dev`) do not mix.
 * Names are `arvados_nats_<component>_<what>_<unit>`: base units, `_total` on counters, labels from a small fixed set.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

export type Metrics = {
  /** `name` without the prefix: `requests_total`. */
  counter<L extends string = never>(name: string, help: string, labels?: readonly L[]): Counter<L>;
  /** `read` is called at each scrape, for values that are kept elsewhere anyway. */
  gauge<L extends string = never>(name: string, help: string, labels?: readonly L[], read?: () => number): Gauge<L>;
  histogram<L extends string = never>(
    name: string,
    help: string,
    options?: { labels?: readonly L[]; buckets?: readonly number[] },
  ): Histogram<L>;
  /** The exposition text: this service's metrics, then the process' own. */
  text(): Promise<string>;
  readonly contentType: string;
};

/** From half a millisecond to ten seconds, the range of a login, a kick or a commit. */
const LATENCY_BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const;

export function createMetrics(component: string): Metrics {
  const registry = new Registry();
  const base = (name: string, help: string, labels: readonly string[]) => {
    const full = `arvados_nats_${component}_${name}`;
    if (!/^[a-z][a-z0-9_]*$/.test(full)) throw new RangeError(`not a metric name: ${full}`);
    return { name: full, help, labelNames: [...labels], registers: [registry] };
  };
  return {
    counter(name, help, labels = []) {
      if (!name.endsWith("_total")) throw new RangeError(`a counter's name ends in _total: ${name}`);
      return new Counter(base(name, help, labels)) as Counter<(typeof labels)[number]>;
    },
    gauge(name, help, labels = [], read) {
      const options = base(name, help, labels);
      const gauge = new Gauge(
        read
          ? {
              ...options,
              collect() {
                gauge.set(read());
              },
            }
          : options,
      );
      return gauge as Gauge<(typeof labels)[number]>;
    },
    histogram(name, help, { labels = [], buckets = LATENCY_BUCKETS } = {}) {
      const options = { ...base(name, help, labels), buckets: [...buckets] };
      return new Histogram(options) as Histogram<(typeof labels)[number]>;
    },
    async text() {
      return `${await registry.metrics()}\n${await processRegistry().metrics()}`;
    },
    contentType: registry.contentType,
  };
}

let shared: Registry | null = null;

/** `process_*` and `nodejs_*` describe the process, not a service: collected once, under their usual names, for usual dashboards. */
function processRegistry(): Registry {
  if (!shared) {
    shared = new Registry();
    collectDefaultMetrics({ register: shared });
  }
  return shared;
}
