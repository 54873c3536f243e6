/**
 * `npm run bench:hostile [-- --quick] [-- --json FILE] [-- --only WORDS] [-- --rounds N] [-- --unbounded] [-- --profile DIR]`: what others
 * feel while one user attacks. This process only measures: the stack, its attacker, and a second stack with its attacker run in others.
 *
 * Each attack is measured in rounds beside its control, the same load where it can hurt nobody: messages to his own inbox, rows in a
 * table that is not published, or the same attack against the second stack. The side that goes first alternates. A figure is the
 * median, over the rounds, of others' p99 divided by the control's p99 of the same round, because the machine's noise meets both. A
 * trial that misses the target is measured for as many rounds again, and all rounds count.
 *
 * `--quick`: one short round, with the services of a stack in one process; this is an outline. `--rounds N`: N rounds, no more, each
 * of them printed. `--unbounded`: without the bounds per user.
 */

import { benchArgs, type Measurement, table, writeResults } from "../support/measure.ts";
import { createOthers, type Felt, feltNothing } from "./others.ts";
import { startPlace } from "./place.ts";
import { HostileRounds } from "./rounds.ts";
import { hostileTrials, type Trial } from "./trials.ts";

const args = process.argv.slice(2);
const { json, quick } = benchArgs(args);
const given = optionOf("--rounds");
const ROUNDS = given === undefined ? (quick ? 1 : 5) : Number(given);
const ROUND_MS = quick ? 400 : 2_000;
/** Settling time of a quick run. */
const SHORT_SETTLE_MS = 150;
const CALM_TRIES = quick ? 4 : 40;
/** How often so many rounds are measured at most. */
const SERIES = quick || given !== undefined ? 1 : 2;

const flags = args.filter((arg) => arg === "--unbounded" || arg === "--quick");
const profile = optionOf("--profile");
const [place, bystander] = await Promise.all([
  startPlace(profile === undefined ? flags : [...flags, "--profile", profile]),
  startPlace(flags),
]);
const others = await createOthers(place.facts);
// The first seconds are slower than all others.
for (let round = 0; round < (quick ? 1 : 3); round++) await others.feel(ROUND_MS, feltNothing());
const rows: Measurement[] = [];
for (const trial of chosen(await hostileTrials(place.facts))) {
  const felt = await judge(trial);
  if (given !== undefined) console.log(felt.lines().join("\n"));
  rows.push(...felt.rows());
}
await others.close();
await Promise.all([place.close(), bystander.close()]);
console.log(table(rows));
if (json !== null) await writeResults(json, "hostile", rows);
process.exit(0);

/** `--only WORDS`: those whose name has them. */
function chosen(all: Trial[]): Trial[] {
  const words = optionOf("--only");
  return words === undefined ? all : all.filter(({ name }) => name.includes(words));
}

function optionOf(option: string): string | undefined {
  const at = args.indexOf(option);
  return at < 0 ? undefined : args[at + 1];
}

async function judge(trial: Trial): Promise<HostileRounds> {
  const { name, attack, control, settle } = trial;
  const sides = {
    attack: () => suffer(place, attack(place.facts), settle),
    control: () =>
      control === "bystander"
        ? suffer(bystander, attack(bystander.facts), settle)
        : suffer(place, control(place.facts), settle),
  };
  const rounds = new HostileRounds(name);
  for (let series = 0; series < SERIES && (series === 0 || !rounds.hold()); series++) {
    for (let round = 0; round < ROUNDS; round++) {
      const controlFirst = rounds.count % 2 === 0;
      const first = controlFirst ? await sides.control() : await sides.attack();
      const second = controlFirst ? await sides.attack() : await sides.control();
      rounds.add(controlFirst ? { control: first, attack: second } : { control: second, attack: first });
    }
  }
  return rounds;
}

async function suffer(at: typeof place, attacks: Parameters<typeof place.attack>[0], settle: number): Promise<Felt> {
  const felt = feltNothing();
  await at.attack(attacks);
  await new Promise((resolve) => setTimeout(resolve, quick ? Math.min(settle, SHORT_SETTLE_MS) : settle));
  await others.feel(ROUND_MS, felt);
  await at.attack([]);
  // What an attack leaves behind must not slow the side that comes next.
  await others.calm(CALM_TRIES);
  return felt;
}
