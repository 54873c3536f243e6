/** Whether the clock of a server agrees with this host's. Pure. */
import { type Finding, findingOf, ok, problem, type Reading } from "./finding.ts";

/** Theirs minus ours, in ms; `uncertainty` is half of the time that the request took. */
export type ClockFacts = { offset: number; uncertainty: number };

/** Clocks that NTP sets differ by far less. */
const WARN_MS = 1_000;

/** @param staleness age of the permission graph (ms) at which logs stop: a difference as large stops them always */
export function clockFinding(name: string, reading: Reading<ClockFacts>, staleness: number): Finding {
  return findingOf(name, reading, "see above", ({ offset, uncertainty }) => {
    const surely = Math.max(0, Math.abs(offset) - uncertainty);
    const saw =
      surely < WARN_MS
        ? `agrees with this host's within ${Math.max(1, Math.round(Math.abs(offset) + uncertainty))} ms`
        : `is ${(Math.abs(offset) / 1_000).toFixed(1)} s ${offset > 0 ? "ahead of" : "behind"} this host's`;
    if (surely < WARN_MS) return ok(name, saw);
    const todo =
      "let NTP set the clocks of both hosts (`timedatectl`): the age of the graph, the expiry of tokens and the edge's statements depend on them";
    return problem(surely < staleness ? "warn" : "bad", name, saw, todo);
  });
}
