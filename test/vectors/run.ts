/**
 * `npm run -s vectors -- FILE...`: judges vector files (see permissions/README.md), each world with several audience sizes.
 * Exit 0 only without a mismatch; 2 where a file cannot be read.
 */
import { judgeSequence, judgeWorld, type Mismatch, type Verdict } from "./judge.ts";
import { readVectors } from "./world.ts";

const AUDIENCE_MINS = [3, 0, Number.POSITIVE_INFINITY];

const files = process.argv.slice(2);
if (files.length === 0) {
  console.error("usage: npm run -s vectors -- FILE... (.json or .json.gz)");
  process.exit(2);
}

const total = { worlds: 0, checks: 0, mismatches: 0 };
for (const file of files) {
  const { worlds, sequences } = read(file);
  for (const world of worlds) {
    total.worlds++;
    judged((audienceMin) => judgeWorld(world, audienceMin));
  }
  for (const sequence of sequences) {
    total.worlds += 1 + sequence.steps.length;
    judged((audienceMin) => judgeSequence(sequence, audienceMin));
  }
}
console.log(`worlds ${total.worlds}, checks ${total.checks}, mismatches ${total.mismatches}`);
process.exitCode = total.mismatches === 0 ? 0 : 1;

/** A pair of user and object is one check, and one wrong answer one mismatch, with however many audience sizes it is given. */
function judged(judge: (audienceMin: number) => Verdict): void {
  const found = new Map<string, { first: Mismatch; mins: number[] }>();
  let checks = 0;
  for (const audienceMin of AUDIENCE_MINS) {
    const verdict = judge(audienceMin);
    checks = verdict.checks;
    for (const mismatch of verdict.mismatches) {
      const { world, user, object, what } = mismatch;
      const key = [world, user, object, what].join("\n");
      const known = found.get(key);
      if (known) known.mins.push(audienceMin);
      else found.set(key, { first: mismatch, mins: [audienceMin] });
    }
  }
  total.checks += checks;
  total.mismatches += found.size;
  for (const { first, mins } of found.values()) {
    const { world, user, object, what, expected, got, why } = first;
    console.log(`${world}: ${what}: user ${user}, object ${object}: expected ${expected}, got ${got}`);
    console.log(`  audience.min ${mins.join(", ")}`);
    if (why) console.log(`  ${why}`);
  }
}

function read(file: string): ReturnType<typeof readVectors> {
  try {
    return readVectors(file);
  } catch (error) {
    console.error(`${file} cannot be read as vectors: ${error instanceof Error ? error.message : error}`);
    process.exit(2);
  }
}
