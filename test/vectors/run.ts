/** `npm run -s vectors -- FILE...`: judges vector files (see permissions/README.md). Exit 0 only without a mismatch. */
import { judgeSequence, judgeWorld, type Verdict } from "./judge.ts";
import { readVectors } from "./world.ts";

const AUDIENCE_MINS = [3, 0, Number.POSITIVE_INFINITY];

const files = process.argv.slice(2);
if (files.length === 0) {
  console.error("usage: npm run -s vectors -- FILE... (.json or .json.gz)");
  process.exit(2);
}
let worlds = 0;
let checks = 0;
let mismatches = 0;
/** A check is one user-object pair of `readable`, however many audience sizes it is judged under. */
function count(judged: (audienceMin: number) => Verdict): void {
  for (const [i, audienceMin] of AUDIENCE_MINS.entries()) {
    const verdict = judged(audienceMin);
    if (i === 0) checks += verdict.checks;
    mismatches += verdict.mismatches.length;
    for (const { world, user, object, what, expected, got, why } of verdict.mismatches) {
      console.log(
        `${world} [audience.min ${audienceMin}]: ${what}: ${user} ${object}: expected ${expected}, got ${got}`,
      );
      if (why) console.log(`  ${why}`);
    }
  }
}
for (const file of files) {
  const vectors = readVectors(file);
  for (const world of vectors.worlds) {
    worlds++;
    count((audienceMin) => judgeWorld(world, audienceMin));
  }
  for (const sequence of vectors.sequences) {
    worlds += 1 + sequence.steps.length;
    count((audienceMin) => judgeSequence(sequence, audienceMin));
  }
}
console.log(`worlds ${worlds}, checks ${checks}, mismatches ${mismatches}`);
process.exitCode = mismatches === 0 ? 0 : 1;
