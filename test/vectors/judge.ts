/** Compares a graph with what the real Arvados SQL said of the same rows. */

import { PermissionGraph } from "../../core/graph/permission-graph.ts";
import type { GraphOptions, ObjectFacts, PermissionEngine } from "../../core/graph-types.ts";
import { natsMatches } from "./nats-match.ts";
import {
  changedRows,
  type Expect,
  graphDelta,
  graphRows,
  NOW,
  type Rows,
  type Sequence,
  type World,
  worldObjects,
} from "./world.ts";

const NEVER = Number.POSITIVE_INFINITY;

/** One wrong answer: `expected` and `got` are of the question `what`. */
export type Mismatch = {
  world: string;
  user: string;
  object: string;
  what: "readable" | "deletable_seen" | "route matches grants" | "deletion route matches grants" | "grants";
  expected: boolean;
  got: boolean;
  /** The engine's own explanation, or the subjects and patterns that should have matched. */
  why: string;
};

export type WorldVerdict = { checks: number; mismatches: Mismatch[] };

export type Matcher = (pattern: string, subject: string) => boolean;

/** The sizes above which rights are published in another way. */
export type Bounds = Pick<GraphOptions, "audienceMin" | "heavyMin" | "crowdMin">;

/** Small, none and boundless, together and apart: every world is judged with each. */
export const BOUNDS: readonly Bounds[] = [
  { audienceMin: 3, heavyMin: NEVER, crowdMin: NEVER },
  { audienceMin: 0, heavyMin: NEVER, crowdMin: NEVER },
  { audienceMin: NEVER, heavyMin: NEVER, crowdMin: NEVER },
  { audienceMin: 3, heavyMin: 3, crowdMin: NEVER },
  { audienceMin: 0, heavyMin: 0, crowdMin: 3 },
  { audienceMin: NEVER, heavyMin: 0, crowdMin: NEVER },
  { audienceMin: NEVER, heavyMin: 3, crowdMin: 0 },
];

export function boundsText({ audienceMin, heavyMin, crowdMin }: Bounds): string {
  return `audience.min ${audienceMin}, heavyMin ${heavyMin}, crowdMin ${crowdMin}`;
}

export function engineFor(world: World, bounds: Bounds): PermissionGraph {
  const options: GraphOptions = { ...world.config, ...bounds };
  return new PermissionGraph(options);
}

/** Judges every user and object of the rows: readings, and that routes match grants exactly where these are so. */
export function judgeAnswers(
  name: string,
  graph: PermissionEngine,
  rows: Rows,
  expect: Pick<Expect, "readable" | "deletable_seen">,
  matches: Matcher = natsMatches,
): WorldVerdict {
  const objects = worldObjects(rows);
  const owners = objects.map((object) => object.owner).filter((owner) => owner !== null);
  const routes = objects.map((object) => graph.route(object, NOW));
  const deletions = objects.map((object) => graph.routeDelete(object));
  const verdict: WorldVerdict = { checks: 0, mismatches: [] };
  for (const { uuid: user, is_admin } of rows.users) {
    const readable = new Set(expect.readable[user] ?? []);
    const deletable = new Set(expect.deletable_seen[user] ?? []);
    const { patterns } = graph.grants(user);
    const ear = new Ear(patterns, matches);
    const judged = (
      what: Mismatch["what"],
      object: ObjectFacts,
      expected: boolean,
      got: boolean,
      subjects: string[],
    ) => {
      if (expected === got) return;
      const reasons = graph.explain(user, object, NOW).steps.join("; ");
      const heard =
        subjects.length > 0 || what !== "readable"
          ? ` | routes ${subjects.join(" ")} | grants ${patterns.join(" ")}`
          : "";
      const named = what === "deletable_seen" ? (object.owner ?? "") : object.uuid;
      verdict.mismatches.push({ world: name, user, object: named, what, expected, got, why: reasons + heard });
    };
    for (const [i, object] of objects.entries()) {
      verdict.checks++;
      const may = readable.has(object.uuid);
      judged("readable", object, may, graph.check(user, object, NOW), []);
      const route = routes[i] as string[];
      judged("route matches grants", object, may, ear.hears(route), route);
      const deletion = deletions[i] as string[];
      const sees = is_admin || (object.owner !== null && deletable.has(object.owner));
      judged("deletion route matches grants", object, sees, ear.hears(deletion), deletion);
    }
    // The owners as such, whether or not the world has an object of theirs: a made-up collection's deletion tells.
    for (const owner of new Set([...owners, ...deletable])) {
      const object: ObjectFacts = { uuid: "zzzzz-4zz18-madeupforatest0", resource: "collections", owner };
      const deletion = graph.routeDelete(object);
      judged("deletable_seen", object, is_admin || deletable.has(owner), ear.hears(deletion), deletion);
    }
    const faulty =
      patterns.length === 0 || patterns.some((one) => one.endsWith("*")) || new Set(patterns).size < patterns.length;
    if (faulty)
      verdict.mismatches.push(
        mismatch(name, user, "patterns: empty, twice or ending in *", false, true, patterns.join(" ")),
      );
  }
  return verdict;
}

/** A user's ear: patterns without wildcards are looked up, for most worlds have many. */
class Ear {
  readonly #literal: Set<string>;
  readonly #wild: string[];
  readonly #matches: Matcher;

  constructor(patterns: readonly string[], matches: Matcher) {
    this.#literal = new Set(patterns);
    this.#wild = patterns.filter((pattern) => /[*>]/.test(pattern));
    this.#matches = matches;
  }

  hears(subjects: readonly string[]): boolean {
    return subjects.some(
      (subject) => this.#literal.has(subject) || this.#wild.some((pattern) => this.#matches(pattern, subject)),
    );
  }
}

export function judgeWorld(world: World, bounds: Bounds, matches: Matcher = natsMatches): WorldVerdict {
  const graph = engineFor(world, bounds);
  graph.apply([...graphRows(world).values()]);
  return judgeAnswers(world.name, graph, world, world.expect, matches);
}

/**
 * Judges a sequence: after each step the graph that followed it must answer as the vector does, grant what one built from
 * scratch grants, and have named in its effect exactly the users whose grants changed.
 */
export function judgeSequence(sequence: Sequence, bounds: Bounds): WorldVerdict {
  const { world } = sequence;
  const graph = engineFor(world, bounds);
  let rows: World = world;
  let known = graphRows(rows);
  graph.apply([...known.values()]);
  const expect = { readable: { ...world.expect.readable }, deletable_seen: { ...world.expect.deletable_seen } };
  const total = judgeAnswers(`${sequence.name} start`, graph, rows, expect);
  for (const step of sequence.steps) {
    const name = `${sequence.name} step ${step.n} (${step.action})`;
    const users = rows.users.map((user) => user.uuid);
    const before = new Map(users.map((user) => [user, graph.grants(user).hash]));
    rows = changedRows(rows, step.changes);
    const next = graphRows(rows);
    const effect = graph.apply(graphDelta(known, next));
    known = next;
    Object.assign(expect.readable, step.changed.readable);
    Object.assign(expect.deletable_seen, step.changed.deletable_seen);
    const verdict = judgeAnswers(name, graph, rows, expect);
    const scratch = engineFor(world, bounds);
    scratch.apply([...known.values()]);
    for (const user of new Set([...users, ...rows.users.map((one) => one.uuid)])) {
      const changed =
        (before.get(user) ?? scratch.grants("zzzzz-tpzed-nobody000000000").hash) !== graph.grants(user).hash;
      const named = [effect.shrank, effect.grew, effect.moved].filter((set) => set.has(user)).length;
      if (named !== (changed ? 1 : 0)) verdict.mismatches.push(mismatch(name, user, "effect", changed, named === 1));
      const same = scratch.grants(user).hash === graph.grants(user).hash;
      if (!same)
        verdict.mismatches.push(mismatch(name, user, "incremental grants equal those from scratch", true, false));
    }
    total.checks += verdict.checks;
    total.mismatches.push(...verdict.mismatches);
  }
  total.mismatches.push(...judgeAnswers(`${sequence.name} final`, graph, rows, sequence.final).mismatches);
  return total;
}

function mismatch(world: string, user: string, object: string, expected: boolean, got: boolean, why = ""): Mismatch {
  return { world, user, object, what: "grants", expected, got, why };
}
