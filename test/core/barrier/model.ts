/**
 * A model of the barrier around the real state machines of core/barrier/: 2 servers with one login each, 2 replicas of any
 * slowness, a bridge with one removal. `actionsOf` lists everything that could happen next; `explore` tries every order.
 * A replica that dies is one to which nothing happens any more: every beginning of a schedule is looked at, so that is in it.
 * Time is in ticks: a lease lasts one, nats-server takes an answer until one tick after the question.
 */
import type { BarrierEntry } from "../../../core/barrier/entry.ts";
import { cuttable, EMPTY_ROSTER, leader, type Roster, readEntry } from "../../../core/barrier/roster.ts";
import { beginRound, type CutRound, isEnforced, kicked, listed } from "../../../core/barrier/round.ts";
import {
  graphReached,
  leaseReadBack,
  leaseToSend,
  NO_TENURE,
  type Tenure,
  tenureState,
} from "../../../core/barrier/tenure.ts";
import type { Timing } from "../../../core/barrier/timing.ts";

const TIME: Timing = { lease: 1, lapse: 2 };
const ANSWER_LIFE = 1;
const LAST_TICK = 2;
const REMOVAL = { epoch: 1, sequence: 1 };

type Replica = {
  /** How far it has read BARRIER. */
  at: number;
  /** Has it applied the removal? */
  applied: boolean;
  tenure: Tenure;
  roster: Roster;
  round: CutRound | null;
  /** Leases it may still send. */
  leases: number;
};

/** `old` = answered by the graph before the removal. Login n is on server n, as connection n. */
type Login = {
  state: "idle" | "asked" | "answered" | "session" | "gone";
  expires: number;
  by: string;
  old: boolean;
  /** Its answerer knows that it can no longer *become* a session. */
  settled: boolean;
};

export type ModelState = {
  now: number;
  stream: BarrierEntry[];
  committed: boolean;
  replicas: Record<string, Replica>;
  logins: Login[];
  released: boolean;
};

/** What the negative controls leave out. */
export type Without = {
  settlePhase?: boolean;
  secondKick?: boolean;
  readBack?: boolean;
  lapse?: boolean;
};

export type Scenario = {
  /** Replicas that serve already; the others join. */
  serving: readonly ("a" | "b")[];
  /** How many leases each may send from now on. */
  leases: Record<"a" | "b", number>;
  logins: 1 | 2;
};

export function start({ serving, leases, logins }: Scenario): ModelState {
  const replica = { at: 0, applied: false, tenure: NO_TENURE, roster: EMPTY_ROSTER, round: null };
  const login: Login = { state: "idle", expires: 0, by: "", old: false, settled: false };
  let world: ModelState = {
    now: 0,
    stream: [],
    committed: false,
    replicas: { a: { ...replica, leases: leases.a }, b: { ...replica, leases: leases.b } },
    logins: Array.from({ length: logins }, () => login),
    released: false,
  };
  for (const name of serving) world = append(world, leaseToSend(NO_TENURE, name, true, 0)[0]);
  for (const entry of world.stream) {
    for (const [name, self] of Object.entries(world.replicas)) {
      world = withReplica(world, name, { ...self, ...readOf(self, name, entry, 0) });
    }
  }
  return world;
}

export function isViolated(world: ModelState): boolean {
  return world.released && world.logins.some((login) => login.state === "session" && login.old);
}

export type ModelStep = [what: string, world: ModelState];

/** Everything that could happen next. */
export function* actionsOf(world: ModelState, without: Without): Iterable<ModelStep> {
  const { now, stream, logins, replicas } = world;
  if (now < LAST_TICK) yield ["a tick passes", { ...world, now: now + 1 }];
  if (!world.committed) yield ["the removal is in GRAPH", { ...world, committed: true }];
  const mark = stream.findIndex((entry) => entry.kind === "mark") + 1;
  if (world.committed && mark === 0) yield ["mark", append(world, { kind: "mark", revision: REMOVAL })];

  for (const [n, login] of logins.entries()) {
    if (login.state === "idle") {
      yield [`login ${n} asks`, withLogin(world, n, { ...login, state: "asked", expires: now + ANSWER_LIFE })];
    }
    if (login.state === "answered" && now <= login.expires) {
      yield [`server ${n} lets login ${n} in`, withLogin(world, n, { ...login, state: "session" })];
    }
  }
  // Behind the release only an old login that still gets in matters.
  for (const name of world.released ? [] : Object.keys(replicas)) {
    yield* actionsOfReplica(world, name, without);
  }
}

function* actionsOfReplica(world: ModelState, name: string, without: Without): Iterable<ModelStep> {
  const self = world.replicas[name] as Replica;
  const { now, stream, logins } = world;
  const set = (change: Partial<Replica>, base = world) => withReplica(base, name, { ...self, ...change });

  if (self.leases > 0 && tenureState(self.tenure, now) !== "serving") {
    const [lease, tenure] = leaseToSend(self.tenure, name, true, now);
    // Negative control: a lease that counts as soon as it is sent.
    const counts = without.readBack ? { ...tenure, until: now + TIME.lease } : tenure;
    yield [`${name} sends a lease`, append(set({ tenure: counts, leases: self.leases - 1 }), lease)];
  }
  const entry = stream[self.at];
  if (entry) yield [`${name} reads ${entry.kind}`, set(readOf(self, name, entry, now))];
  if (world.committed && !self.applied) {
    const mark = self.roster.mark?.sequence ?? 0;
    yield [`${name} applies the removal`, set({ applied: true, tenure: graphReached(self.tenure, mark, TIME) })];
  }

  for (const [n, login] of logins.entries()) {
    // An answer by the new graph harms nobody and is left out.
    const mayAnswer = login.state === "asked" && now <= login.expires && !self.applied;
    if (mayAnswer && tenureState(self.tenure, now) === "serving") {
      yield [`${name} answers login ${n}`, withLogin(world, n, { ...login, state: "answered", by: name, old: true })];
    }
    const mine = login.by === name && login.old && !login.settled && self.applied && now <= login.expires;
    if (mine) {
      // nats-server's own word, also for a login that is still waiting for its answer.
      yield [`${name} kicks its login ${n}`, withLogin(world, n, { ...login, state: "gone", settled: true })];
      if (login.state === "session") {
        yield [`${name} hears of session ${n}`, withLogin(world, n, { ...login, settled: true })];
      }
    }
  }

  const mark = self.roster.mark?.sequence ?? 0;
  const settled = stream.some((one) => one.kind === "settled" && one.replica === name && one.mark === mark);
  const open = logins.some((login) => login.by === name && login.old && !login.settled && now <= login.expires);
  if (mark > 0 && !settled && self.applied && !open) {
    yield [`${name} settles`, append(world, { kind: "settled", replica: name, mark })];
  }
  yield* actionsOfLeader(world, name, without);
}

function* actionsOfLeader(world: ModelState, name: string, without: Without): Iterable<ModelStep> {
  const self = world.replicas[name] as Replica;
  const set = (change: Partial<Replica>, base = world) => withReplica(base, name, { ...self, ...change });
  const { round, roster } = self;
  if (!round) {
    if (leader(roster, world.now, TIME) !== name || !self.applied) return;
    const time = without.lapse ? { ...TIME, lapse: TIME.lease } : TIME;
    const due = without.settlePhase ? (roster.mark?.sequence ?? null) : cuttable(roster, world.now, time);
    const servers = world.logins.map((_, server) => String(server));
    if (due !== null && due > roster.cut) yield [`${name} begins to cut`, set({ round: beginRound(due, servers) })];
    return;
  }
  for (const [server, state] of Object.entries(round.servers)) {
    const n = Number(server);
    const login = world.logins[n] as Login;
    if (state === "unlisted") {
      const unsound = login.state === "session" && login.old && !without.secondKick ? [n] : [];
      yield [`${name} lists server ${n}`, set({ round: listed(round, server, unsound) })];
    } else {
      const after = withLogin(world, n, login.state === "session" ? { ...login, state: "gone" } : login);
      yield [`${name} kicks ${n} again`, set({ round: kicked(round, server, n) }, after)];
    }
  }
  // The bridge releases with the very word: later can only be better.
  if (isEnforced(round)) yield [`${name} says cut`, { ...set({ round: null }), released: true }];
}

function readOf(self: Replica, name: string, entry: BarrierEntry, now: number): Partial<Replica> {
  const sequence = self.at + 1;
  const roster = readEntry(self.roster, entry, sequence, now, TIME);
  const mark = roster.mark?.sequence ?? 0;
  const own = entry.kind === "lease" && entry.replica === name;
  const read = own ? leaseReadBack(self.tenure, entry, sequence, mark) : self.tenure;
  const tenure = self.applied || mark === 0 ? graphReached(read, mark, TIME) : read;
  return { at: sequence, roster, tenure };
}

function append(world: ModelState, entry: BarrierEntry): ModelState {
  return { ...world, stream: [...world.stream, entry] };
}

function withReplica(world: ModelState, name: string, replica: Replica): ModelState {
  return { ...world, replicas: { ...world.replicas, [name]: replica } };
}

function withLogin(world: ModelState, n: number, login: Login): ModelState {
  return { ...world, logins: world.logins.map((one, i) => (i === n ? login : one)) };
}

export type Found = { states: number; released: number; violation: string[] | null };

/** Every order of everything, to the first violation. `shortest` finds it sooner where there is one, and holds all worlds in memory. */
export function explore(scenario: Scenario, without: Without = {}, shortest = false): Found {
  type Node = { world: ModelState; what: string; from: Node | null };
  const todo: Node[] = [{ world: start(scenario), what: "", from: null }];
  const seen = new Set<number>();
  let released = 0;
  for (let next = 0; next < todo.length; ) {
    const node = (shortest ? todo[next++] : todo.pop()) as Node;
    if (node.world.released) released++;
    if (isViolated(node.world)) return { states: seen.size, released, violation: pathTo(node) };
    for (const [what, world] of actionsOf(node.world, without)) {
      const key = fingerprint(world);
      if (seen.has(key)) continue;
      seen.add(key);
      todo.push({ world, what, from: node });
    }
  }
  return { states: seen.size, released, violation: null };

  function pathTo(node: Node): string[] {
    const path: string[] = [];
    for (let at: Node | null = node; at; at = at.from) path.unshift(at.what);
    return path;
  }
}

function textOf({ now, stream, committed, replicas, logins, released }: ModelState): string {
  let text = `${now}${committed}${released}`;
  for (const entry of stream)
    text += `${entry.kind}${"replica" in entry ? entry.replica : ""}${"sent" in entry ? entry.sent : ""},`;
  for (const one of logins) text += `${one.state}${one.expires}${one.by}${one.settled},`;
  for (const { at, applied, tenure, roster, round, leases } of Object.values(replicas)) {
    text += `/${at}${applied}${leases}${tenure.until}${tenure.since}${tenure.begun}:`;
    for (const lease of tenure.waiting) text += `${lease.sent}${lease.mark},`;
    for (const [name, member] of Object.entries(roster.members)) text += `${name}${member.since}${member.readAt},`;
    if (round) text += JSON.stringify(round);
  }
  return text;
}

/** 53 bits of a world: good enough for some million of them. */
function fingerprint(world: ModelState): number {
  const text = textOf(world);
  let a = 0x811c9dc5;
  let b = 0x1b873593;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    a = Math.imul(a ^ code, 0x01000193);
    b = Math.imul(b ^ code, 0x85ebca6b) ^ (b >>> 13);
  }
  return (a >>> 0) * 0x200000 + (b >>> 11);
}
