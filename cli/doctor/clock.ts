/** Whether two clocks agree well enough for what compares their times. Pure. */
import { type Finding, findingOf, type Look, ok, problem } from "./finding.ts";

/** Theirs minus ours, in ms, and by how much that may be wrong: half of what the question took. */
export type ClockFacts = { offset: number; uncertainty: number };

/** What NTP keeps is far below this. */
const WARN_MS = 1_000;

/** @param staleness how old the permission graph may be (ms) before something stops: a difference as large stops it always. */
export function clockFinding(name: string, look: Look<ClockFacts>, staleness: number): Finding {
  return findingOf(name, look, "see above", ({ offset, uncertainty }) => {
    const surely = Math.max(0, Math.abs(offset) - uncertainty);
    const saw =
      surely < WARN_MS
        ? `agrees with this machine's within ${Math.max(1, Math.round(Math.abs(offset) + uncertainty))} ms`
        : `is ${(Math.abs(offset) / 1_000).toFixed(1)} s ${offset > 0 ? "ahead of" : "behind"} this machine's`;
    if (surely < WARN_MS) return ok(name, saw);
    const todo =
      "let NTP set the clocks of both machines (`timedatectl`): the graph's age, tokens' expiry and the edge's statements are told by clocks";
    return problem(surely < staleness ? "warn" : "bad", name, saw, todo);
  });
}
