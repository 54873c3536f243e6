/** One user with one project in a world, and what is written there. */
import assert from "node:assert/strict";
import { reasonOf } from "../../core/errors.ts";
import { parseLsn } from "../../core/lsn.ts";
import { until } from "../../dev/testing/until.ts";
import type { BridgeProcess } from "./bridge-child.ts";
import { asResumed, byEventId, checkStreams, type Stored, type StreamFinding } from "./checker.ts";
import { readCommitLog, type TrueCommit } from "./commit-log.ts";
import type { ChaosWorld } from "./world.ts";

export type Scene = {
  user: string;
  project: string;
  /** So many commits of one event each. */
  commit(count: number): Promise<void>;
  /** Resolves once RECORDS has got to the end of what was committed. */
  caughtUp(): Promise<void>;
  /** Both, one after the other. */
  publish(count: number): Promise<void>;
  /** Compared with what was committed. Default: RECORDS. */
  findings(stored?: readonly Stored[]): Promise<StreamFinding[]>;
  compared(commits: readonly TrueCommit[], stored: readonly Stored[]): StreamFinding[];
  /** What a reader of history has that goes by the epochs. */
  history(): Promise<Stored[]>;
};

export async function prepare(world: ChaosWorld): Promise<Scene> {
  const { uuid: user } = await world.arvados.createUser({ username: "writer" });
  const { uuid: project } = await world.arvados.createProject({ name: "project", owner: user });
  const places = new Map([[project, `${user}.${project}`]]);
  const compared: Scene["compared"] = (commits, stored) => checkStreams(commits, stored, places, world.subjectPrefix);
  const commit = async (count: number) => {
    for (let i = 0; i < count; i++) await world.arvados.createCollection({ name: `c ${i}`, owner: project });
  };
  const caughtUp = async () => {
    const end = (await readCommitLog(world.pool)).at(-1)?.lsn ?? "0/0";
    let last = "";
    const isThere = async () => {
      last = JSON.stringify(await world.last().catch(reasonOf));
      return reached(world, end);
    };
    await until(isThere, () => `the bridge to catch up to ${end}; RECORDS ends with ${last}; ${world.lastWords()}`);
  };
  return {
    user,
    project,
    commit,
    caughtUp,
    publish: (count) => commit(count).then(caughtUp),
    compared,
    findings: async (stored) => compared(await readCommitLog(world.pool), stored ?? (await world.records())),
    history: async () => asResumed(await world.records(), await world.leads()),
  };
}

/** Does RECORDS end at this position or behind it? Not while its server is away. */
export async function reached(world: ChaosWorld, lsn: string): Promise<boolean> {
  const last = await world.last().catch(() => null);
  return last !== null && parseLsn(last.lsn) >= parseLsn(lsn) && (last.part === "" || last.part === "last");
}

export async function leading(bridge: BridgeProcess, after = 0): Promise<void> {
  await until(() => bridge.leads(after), `the bridge ${bridge.name} to lead`);
}

/** What a reader saw that was there all the time, once it has seen the end: of each event the first. */
export async function seenOnce(world: ChaosWorld, seen: readonly Stored[]): Promise<Stored[]> {
  const end = (await world.records()).at(-1)?.eventId;
  await until(() => seen.some(({ eventId }) => eventId === end), "the reader to see the end");
  return byEventId(seen);
}

export function assertNone(findings: readonly StreamFinding[]): void {
  assert.deepEqual(findings.slice(0, 5), []);
}
