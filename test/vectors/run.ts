/**
 * `npm run -s vectors -- FILE...`: judges vector files (see permissions/README.md), each world with several sizes of roles and users.
 * Exit 0 only without a mismatch; 2 where a file cannot be read.
 */
import {
  BOUNDS,
  type Bounds,
  boundsText,
  judgeSequence,
  judgeWorld,
  type Mismatch,
  type WorldVerdict,
} from "./judge.ts";
import { readVectors } from "./world.ts";

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
    judged((bounds) => judgeWorld(world, bounds));
  }
  for (const sequence of sequences) {
    total.worlds += 1 + sequence.steps.length;
    judged((bounds) => judgeSequence(sequence, bounds));
  }
}
console.log(`worlds ${total.worlds}, checks ${total.checks}, mismatches ${total.mismatches}`);
process.exitCode = total.mismatches === 0 ? 0 : 1;

/** A pair of user and object is one check, and one wrong answer one mismatch, with however many sizes it is given. */
function judged(judge: (bounds: Bounds) => WorldVerdict): void {
  const found = new Map<string, { first: Mismatch; with: Bounds[] }>();
  let checks = 0;
  for (const bounds of BOUNDS) {
    const verdict = judge(bounds);
    checks = verdict.checks;
    for (const mismatch of verdict.mismatches) {
      const { world, user, object, what } = mismatch;
      const key = [world, user, object, what].join("\n");
      const known = found.get(key);
      if (known) known.with.push(bounds);
      else found.set(key, { first: mismatch, with: [bounds] });
    }
  }
  total.checks += checks;
  total.mismatches += found.size;
  for (const { first, with: sizes } of found.values()) {
    const { world, user, object, what, expected, got, why } = first;
    console.log(`${world}: ${what}: user ${user}, object ${object}: expected ${expected}, got ${got}`);
    console.log(`  ${sizes.map(boundsText).join("; ")}`);
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
