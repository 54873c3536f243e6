/**
 * The lanes of the tests. The suffix of a test file says which servers its tests need: `x.test.ts` none, `x.pg.test.ts` PostgreSQL,
 * `x.nats.test.ts` nats-server, `x.browser.test.ts` Chromium and nats-server, `x.e2e.test.ts` any. `npm run test:unit` runs the first ones.
 */
export type Lane = "unit" | "pg" | "nats" | "browser" | "e2e";
export type Server = "PostgreSQL" | "nats-server" | "Chromium";

/** The modules that start a server. */
const LAUNCHERS: Readonly<Record<string, Server>> = {
  "dev/servers/postgres.ts": "PostgreSQL",
  "dev/servers/nats-server.ts": "nats-server",
  "dev/servers/nats-binary.ts": "nats-server",
  "test/support/servers/chromium.ts": "Chromium",
};
const NEEDS: Readonly<Record<Exclude<Lane, "e2e">, readonly Server[]>> = {
  unit: [],
  pg: ["PostgreSQL"],
  nats: ["nats-server"],
  browser: ["Chromium", "nats-server"],
};

export function laneOf(path: string): Lane {
  const [, suffix = "unit"] = /\.(\w+)\.test\.ts$/.exec(path) ?? [];
  if (suffix === "unit" || suffix === "e2e" || suffix in NEEDS) return suffix as Lane;
  throw new RangeError(`${path} has a suffix that names no lane`);
}

/** How the servers whose launchers a test file loads differ from what its suffix says; null where they do not. */
export function laneError(path: string, loaded: Iterable<string>): string | null {
  const lane = laneOf(path);
  // Some start other programs, which start the servers.
  if (lane === "e2e") return null;
  const started = new Set([...loaded].flatMap((file) => LAUNCHERS[file] ?? []));
  const [have, need] = [[...started].sort().join(), NEEDS[lane].join()];
  return have === need ? null : `${path} loads launchers of ${have || "no server"}, and its lane has ${need || "none"}`;
}
