/**
 * `npm run bench:hostile [-- --quick] [-- --json FILE]`: what others feel while one user does what hurts. Each attack is made by a process of its
 * own, in turns with its control: the same load where it can hurt nobody (messages to his own inbox, connections that say nothing, shares with somebody who
 * has no session). The figures are the p99 of others' events, logins and verbs, as a multiple of the control's.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { sessionId, sessionKey } from "../client/mod.ts";
import { subjectsOf } from "../core/subjects.ts";
import { type Stack, startStack } from "../dev/stack.ts";
import { silentLog } from "../runtime/log/log.ts";
import { createScope } from "../runtime/scope.ts";
import type { Attack, AttackerOptions } from "./attacker.ts";
import { benchArgs, type Measurement, quantile, row, table, writeResults } from "./measure.ts";
import { createOthers, FELT, type Felt } from "./others.ts";

/** How much longer others' p99 may be. */
const TARGET = 1.5;
const SETTLE_MS = 300;
/** What many sessions do at first is a start, not an attack that goes on. */
const LONG_SETTLE_MS = 2_200;
const SID = sessionId();
const TURNS_PER_SECOND = 10;

type Side = { attack: Attack | null; pass?: string; shareWith?: string };
type Trial = { name: string; attack: Side; control: Side; settle?: number };

const { json, quick } = benchArgs(process.argv.slice(2));
const ROUNDS = quick ? 1 : 5;
const ROUND_MS = quick ? 1_200 : 3_000;

await using scope = createScope();
// The product without bounds is measured with `--unbounded`: what they are good for.
const unbounded = process.argv.includes("--unbounded");
const stack = await startStack({
  scope,
  log: silentLog(),
  overrides: unbounded ? (await import("./unbounded.ts")).UNBOUNDED : {},
});
const others = await createOthers(stack);
const rows: Measurement[] = [];
await others.feel(ROUND_MS, { event: [], login: [], verb: [] });
for (const trial of chosen(await trials(stack))) rows.push(...(await judge(stack, trial)));
await others.close();
console.log(table(rows));
if (json !== null) await writeResults(json, "hostile", rows);
await scope.close();
process.exit(0);

/** `--only WORDS`: those whose name has them. */
function chosen(all: Trial[]): Trial[] {
  const at = process.argv.indexOf("--only");
  return at < 0 ? all : all.filter(({ name }) => name.includes(process.argv[at + 1] ?? ""));
}

async function trials({ arvados, cluster }: Stack): Promise<Trial[]> {
  const { bob } = cluster.users;
  const subjects = subjectsOf(cluster.clusterId);
  const key = await sessionKey(bob.token.v2, SID);
  const inbox = `${subjects.inboxPrefix(key)}.x`;
  const api = subjects.api(key, "whoami");
  const publish = (subject: string, bytes: number, perSecond: number): Side => ({
    attack: { kind: "publish", subject, reply: inbox, bytes, perSecond },
  });
  const dial = (perSecond: number): Side => ({ attack: { kind: "dial", perSecond } });
  const login = (hold: boolean, perSecond: number): Side => ({
    attack: { kind: "login", hold, perSecond, most: 2_000 },
  });
  const nobody = await arvados.createUser({ username: "nobody" });
  const eve = await arvados.createUser({ username: "eve" });
  const eves = (await arvados.issueToken(eve.uuid)).v2;
  const crowd: Side = { attack: { kind: "crowd", count: 200 }, pass: eves };
  const tail = subjects.api(key, "tail");
  return [
    { name: "20,000 whoami a second", attack: publish(api, 0, 20_000), control: publish(inbox, 0, 20_000) },
    {
      name: "bodies of 128 kB, 25 MB a second",
      attack: publish(api, 131_072, 200),
      control: publish(inbox, 131_072, 200),
    },
    { name: "500 tails a second", attack: publish(tail, 0, 500), control: publish(inbox, 0, 500) },
    { name: "200 sessions a second, held", attack: login(true, 200), control: dial(200), settle: LONG_SETTLE_MS },
    { name: "100 logins a second", attack: login(false, 100), control: dial(100) },
    {
      name: "100 guesses a second",
      attack: { ...login(false, 100), pass: `v2/${bob.token.uuid}/guess` },
      control: dial(100),
    },
    {
      name: "share loop with 200 sessions that come back",
      attack: { ...crowd, shareWith: eve.uuid },
      control: { attack: null, shareWith: nobody.uuid },
      settle: LONG_SETTLE_MS,
    },
  ];
}

async function judge(at: Stack, { name, attack, control, settle = SETTLE_MS }: Trial): Promise<Measurement[]> {
  const felt = {
    control: { event: [], login: [], verb: [] } as Felt,
    attack: { event: [], login: [], verb: [] } as Felt,
  };
  for (let round = 0; round < ROUNDS; round++) {
    await suffer(at, control, settle, felt.control);
    await suffer(at, attack, settle, felt.attack);
  }
  return FELT.map((what) => {
    const [with_, without] = [quantile(felt.attack[what], 0.99), quantile(felt.control[what], 0.99)];
    const figures = `p99 ${with_.toFixed(1)} ms, control ${without.toFixed(1)} ms`;
    return row(`${name}: others' ${what} (${figures})`, with_ / without, "x", TARGET);
  });
}

async function suffer(at: Stack, side: Side, settle: number, into: Felt): Promise<void> {
  const child = side.attack ? await attacker(at, side.attack, side.pass) : null;
  const stop = side.shareWith ? shareLoop(at, side.shareWith) : null;
  await new Promise((resolve) => setTimeout(resolve, settle));
  await others.feel(ROUND_MS, into);
  await stop?.();
  if (!child) return;
  const ended = once(child, "exit");
  child.stdin?.end();
  await ended;
}

async function attacker(
  { nats, cluster }: Stack,
  attack: Attack,
  pass = cluster.users.bob.token.v2,
): Promise<ChildProcess> {
  const options: AttackerOptions = { port: Number(new URL(nats.url).port), user: SID, pass, attack };
  const file = new URL("attacker.ts", import.meta.url).pathname;
  const child = spawn(process.execPath, ["--import", "tsx", file, JSON.stringify(options)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  return child;
}

function shareLoop({ arvados, cluster }: Stack, user: string): () => Promise<void> {
  const { alice } = cluster.users;
  const { genomes } = cluster.projects;
  let going = true;
  const run = (async () => {
    const from = performance.now();
    for (let turn = 1; going; turn++) {
      await arvados.share(user, genomes, "can_read", { by: alice.uuid });
      await arvados.unshare({ tail: user, head: genomes }, { by: alice.uuid });
      const wait = from + (turn * 1_000) / TURNS_PER_SECOND - performance.now();
      if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    }
  })();
  return async () => {
    going = false;
    await run;
  };
}
