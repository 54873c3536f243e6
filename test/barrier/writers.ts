/**
 * Writers that give and take rights at random, and change what the rights are about: several at once, with transactions of one to
 * five steps, some rolled back.
 */
import pg from "pg";
import type { Operations, Simulator, Transaction } from "../../dev/simulator/index.ts";
import { pick, type Random } from "../../dev/testing/random.ts";
import { startWorkers, type Workers } from "../support/clients/workers.ts";
import type { BarrierCast, Person } from "./cast.ts";

const LEVELS = ["can_read", "can_write", "can_manage"] as const;
/** More of them would make a round's end long. */
const COLLECTIONS = 60;

export function startRightsWriters(arvados: Simulator, cast: BarrierCast, count: number, random: Random): Workers {
  const write = async (index: number): Promise<boolean> => {
    // Whoever writes about a person's tokens is one, so that what is known of them stays true.
    const people = cast.people.filter((_, place) => place % count === index);
    const after: (() => void)[] = [];
    try {
      await arvados.tx(async (operations, tx) => {
        const writer = { operations, tx, random, cast, people, after };
        const steps = random() < 0.75 ? 1 : 1 + Math.ceil(random() * 4);
        for (let step = 0; step < steps; step++) await choose(random)(writer);
        if (random() < 0.05) throw new RolledBack();
      });
      for (const known of after) known();
      return true;
    } catch (error) {
      if (!isRace(error)) throw error;
      return false;
    }
  };
  return startWorkers(count, async (index) => {
    const isWritten = await write(index);
    await new Promise((resolve) => setTimeout(resolve, random() * 40));
    return isWritten;
  });
}

class RolledBack extends Error {}

type Writer = {
  operations: Operations;
  tx: Transaction;
  random: Random;
  cast: BarrierCast;
  people: readonly Person[];
  /** What is true once it is committed. */
  after: (() => void)[];
};
type Step = (writer: Writer) => Promise<unknown>;

const STEPS: [weight: number, Step][] = [
  [36, (w) => w.operations.updateCollection(pick(w.cast.collections, w.random), { name: `renamed ${w.random()}` })],
  [8, createCollection],
  [5, deleteCollection],
  [6, ({ operations, cast, random }) => operations.move(pick(cast.collections, random), anyOwner(cast, random))],
  [
    4,
    ({ operations, cast, random }) => operations.updateObject(pick(cast.projects, random), { name: `p ${random()}` }),
  ],
  [12, share],
  [14, unshare],
  [4, changeLevel],
  [5, moveProject],
  [5, trashOrNot],
  [3, freezeOrNot],
  [8, joinOrLeave],
  [2, activateOrNot],
  [2, otherToken],
  [1, adminOrNot],
];
const WEIGHT = STEPS.reduce((sum, [weight]) => sum + weight, 0);

function choose(random: Random): Step {
  let left = random() * WEIGHT;
  for (const [weight, step] of STEPS) {
    left -= weight;
    if (left < 0) return step;
  }
  return (STEPS[0] as [number, Step])[1];
}

function anyOwner({ projects, people }: BarrierCast, random: Random): string {
  return random() < 0.85 ? pick(projects, random) : pick(people, random).uuid;
}

async function createCollection({ operations, cast, random, after }: Writer): Promise<void> {
  if (cast.collections.length >= COLLECTIONS) return;
  const { uuid } = await operations.createCollection({ name: `c ${random()}`, owner: anyOwner(cast, random) });
  after.push(() => cast.collections.push(uuid));
}

async function deleteCollection({ operations, cast, random, after }: Writer): Promise<void> {
  if (cast.collections.length < COLLECTIONS / 2) return;
  const gone = pick(cast.collections, random);
  await operations.deleteObject(gone);
  after.push(() => cast.collections.splice(cast.collections.indexOf(gone), 1));
}

async function share({ operations, cast, random }: Writer): Promise<void> {
  const to = random();
  const tail = to < 0.5 ? pick(cast.people, random).uuid : to < 0.9 ? pick(cast.roles, random) : cast.everybody;
  const what = random();
  // A person who manages another one has all of that one's rights.
  const manages = what > 0.96 && tail !== cast.everybody;
  const head = manages ? pick(cast.people, random).uuid : pick(what < 0.75 ? cast.projects : cast.collections, random);
  if (head !== tail) await operations.share(tail, head, manages ? "can_manage" : pick(LEVELS, random));
}

async function unshare(writer: Writer): Promise<void> {
  const link = await anyLink(writer);
  if (link) await writer.operations.unshare(link);
}

async function changeLevel(writer: Writer): Promise<void> {
  const link = await anyLink(writer);
  if (link) await writer.operations.changeLevel(link, pick(LEVELS, writer.random));
}

/** One that gives a person, a role or everybody a right. */
async function anyLink({ tx, cast, random }: Writer): Promise<string | null> {
  const tails = [...cast.people.map(({ uuid }) => uuid), ...cast.roles, cast.everybody];
  const heads = [...cast.people.map(({ uuid }) => uuid), ...cast.projects, ...cast.collections];
  const links = await tx.query(
    "SELECT uuid FROM links WHERE link_class = 'permission' AND tail_uuid = ANY ($1) AND head_uuid = ANY ($2) AND tail_uuid || name <> $3 ORDER BY id",
    [list(tails), list(heads), `${cast.everybody}can_read`],
  );
  const all = links.map((row) => row.need("uuid"));
  return all.length > 0 ? pick(all, random) : null;
}

/** Uuids as an array's text. */
function list(uuids: readonly string[]): string {
  return `{${uuids.join(",")}}`;
}

/** One at a time, as Arvados does, so that no project comes to lie in itself. */
async function moveProject({ operations, tx, cast, random }: Writer): Promise<void> {
  await tx.query("SELECT pg_advisory_xact_lock(1)");
  const project = pick(cast.projects, random);
  const owner = anyOwner(cast, random);
  for (let at = owner; at !== ""; ) {
    if (at === project) return;
    const [row] = await tx.query("SELECT owner_uuid FROM groups WHERE uuid = $1", [at]);
    at = row?.need("owner_uuid") ?? "";
  }
  await operations.move(project, owner);
}

async function trashOrNot({ operations, cast, random }: Writer): Promise<void> {
  const what = pick(random() < 0.5 ? cast.projects : cast.collections, random);
  await (random() < 0.5 ? operations.trash(what) : operations.untrash(what));
}

async function freezeOrNot({ operations, cast, random }: Writer): Promise<void> {
  const project = pick(cast.projects, random);
  await (random() < 0.5 ? operations.freeze(project) : operations.unfreeze(project));
}

async function joinOrLeave({ operations, tx, cast, random }: Writer): Promise<void> {
  const [person, role] = [pick(cast.people, random).uuid, pick(cast.roles, random)];
  const [link] = await tx.query("SELECT uuid FROM links WHERE tail_uuid = $1 AND head_uuid = $2", [person, role]);
  await (link ? operations.removeFromRole(person, role) : operations.addToRole(person, role));
}

/** Who goes loses every token; who comes back gets a new one. */
async function activateOrNot({ operations, people, random, after }: Writer): Promise<void> {
  const person = pick(people, random);
  const isActive = person.tokens.length > 0;
  if (isActive) {
    await operations.deactivateUser(person.uuid);
    after.push(() => person.tokens.splice(0));
    return;
  }
  await operations.activateUser(person.uuid);
  const token = await operations.issueToken(person.uuid);
  after.push(() => person.tokens.push(token));
}

async function otherToken({ operations, people, random, after }: Writer): Promise<void> {
  const person = pick(people, random);
  const [old] = person.tokens;
  if (!old) return;
  const token = await operations.issueToken(person.uuid);
  await operations.deleteToken(old.uuid);
  after.push(() => {
    person.tokens.splice(person.tokens.indexOf(old), 1);
    person.tokens.push(token);
  });
}

/** Of few, and not for long: a user who sees everything is of no use to this test. */
async function adminOrNot({ operations, tx, people }: Writer): Promise<void> {
  const [person] = people;
  if (!person || person.tokens.length === 0) return;
  const [row] = await tx.query("SELECT is_admin FROM users WHERE uuid = $1", [person.uuid]);
  await operations.setAdmin(person.uuid, row?.get("is_admin") !== "t");
}

/** Another writer was there first. */
function isRace(error: unknown): boolean {
  if (error instanceof RolledBack) return true;
  if (error instanceof pg.DatabaseError) return error.code === "40P01";
  return error instanceof Error && / has no |nothing is shared/.test(error.message);
}
