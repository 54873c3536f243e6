/** One result of `doctor`, and its form on a terminal. Pure. */

export type State = "ok" | "warn" | "bad" | "unknown";

/** `unknown`: it could not be checked, and `todo` says how it can be. */
export type Finding = { name: string; state: State; saw: string; todo?: string };

/** What was read, or why it could not be. */
export type Reading<T> = { seen: T } | { failed: string };

export function ok(name: string, saw: string): Finding {
  return { name, state: "ok", saw };
}

export function problem(state: Exclude<State, "ok">, name: string, saw: string, todo: string): Finding {
  return { name, state, saw, todo };
}

/** The finding about what was read; where the read failed it is `unknown`. */
export function findingOf<T>(name: string, reading: Reading<T>, todo: string, judge: (seen: T) => Finding): Finding {
  return "seen" in reading ? judge(reading.seen) : problem("unknown", name, reading.failed, todo);
}

const COLOUR: Record<State, string> = { ok: "32", warn: "33", bad: "31", unknown: "36" };
const STATES = Object.keys(COLOUR) as State[];

/** A line for each finding, the remedy below each that is not ok, and the counts at the end. */
export function formatFindings(findings: readonly Finding[], { colours }: { colours: boolean }): string {
  const width = Math.max(...findings.map(({ name }) => name.length));
  const paint = (state: State) => {
    const text = state.padEnd("unknown".length);
    return colours ? `\u001b[${COLOUR[state]}m${text}\u001b[0m` : text;
  };
  const lines = findings.flatMap(({ name, state, saw, todo }) => [
    `${paint(state)}  ${name.padEnd(width)}  ${saw}`,
    ...(todo === undefined ? [] : [`${" ".repeat("unknown".length)}  → ${todo}`]),
  ]);
  const counts = STATES.map((state) => `${findings.filter((finding) => finding.state === state).length} ${state}`);
  return [...lines, "", counts.join(", ")].join("\n");
}

export function isBad(findings: readonly Finding[]): boolean {
  return findings.some(({ state }) => state === "bad");
}

/** Bytes with a unit. */
export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = bytes < 1024 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1024 ** power;
  return `${power === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[power]}`;
}
