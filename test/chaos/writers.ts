/**
 * Writers that do what Arvados does, at random: interleaved, rolled back, with savepoints, one to 2,000 rows a transaction, log ids in
 * another order than commits. A database that dies under them is part of the game.
 */
import pg from "pg";
import type { Operations, Simulator, Transaction } from "../../dev/simulator/index.ts";
import { pick, type Random } from "../../dev/testing/random.ts";
import { startWorkers, type Workers } from "../support/clients/workers.ts";
import type { Places } from "./checker.ts";

/** How many transactions were taken back, had a part taken back, met the database's end. */
export type Tally = { rolledBack: number; savepoints: number; cutOff: number };

export type Writers = Workers & { places: Places; tally: Tally };

const PROJECTS_EACH = 3;

export async function startRecordWriters(arvados: Simulator, count: number, random: Random): Promise<Writers> {
  const places = new Map<string, string>();
  const users: string[] = [];
  const homes: string[][] = [];
  for (let i = 0; i < count; i++) {
    const { uuid: user } = await arvados.createUser({ username: `writer${i}` });
    users.push(user);
    const home: string[] = [];
    for (let j = 0; j < PROJECTS_EACH; j++) {
      const { uuid } = await arvados.createProject({ name: `project ${i}.${j}`, owner: user });
      places.set(uuid, `${user}.${uuid}`);
      home.push(uuid);
    }
    homes.push(home);
  }
  const tally: Tally = { rolledBack: 0, savepoints: 0, cutOff: 0 };
  const known = homes.map((): string[] => []);
  const write = async (index: number): Promise<boolean> => {
    const mine = known[index] as string[];
    const made: string[] = [];
    try {
      await arvados.tx(async (operations, tx) => {
        const writer = { operations, tx, random, projects: homes[index] as string[], mine, made, tally };
        await transaction(writer, users, index);
      });
      mine.push(...made);
      return true;
    } catch (error) {
      if (error instanceof RollBack) tally.rolledBack++;
      else if (isOutage(error)) {
        tally.cutOff++;
        // What was there before may be gone or not: forget it rather than know.
        mine.length = 0;
        await new Promise((resolve) => setTimeout(resolve, 50));
      } else throw error;
      return false;
    }
  };
  return { places, tally, ...startWorkers(count, write) };
}

class RollBack extends Error {}

type Writer = {
  operations: Operations;
  tx: Transaction;
  random: Random;
  projects: string[];
  /** Collections of this writer that are surely there, and those of this transaction. */
  mine: string[];
  made: string[];
  tally: Tally;
};

async function transaction(writer: Writer, users: readonly string[], index: number): Promise<void> {
  const { random, tx, made } = writer;
  if (random() < 0.03) await bulk(writer, Math.ceil(2_000 * random() ** 2));
  const steps = random() < 0.6 ? 1 : Math.ceil(random() * 12);
  for (let i = 0; i < steps; i++) {
    if (random() < 0.1) {
      const before = made.length;
      const gone = [...writer.mine];
      await tx.query("SAVEPOINT a");
      await step(writer, users, index);
      await tx.query("ROLLBACK TO SAVEPOINT a");
      writer.tally.savepoints++;
      made.length = before;
      writer.mine.splice(0, writer.mine.length, ...gone);
    } else await step(writer, users, index);
  }
  if (random() < 0.12) throw new RollBack();
}

async function step(writer: Writer, users: readonly string[], index: number): Promise<void> {
  const { operations, tx, random, projects, mine, made } = writer;
  const project = pick(projects, random);
  const kind = random();
  if (kind < 0.4 || mine.length === 0) {
    made.push((await operations.createCollection({ name: `c ${random()}`, owner: project })).uuid);
  } else if (kind < 0.7) {
    await operations.updateObject(pick(mine, random), { name: `renamed ${random()}` });
  } else if (kind < 0.8) {
    await operations.move(pick(mine, random), project);
  } else if (kind < 0.9) {
    // It stays known only if this transaction is rolled back; nobody then minds that it is forgotten.
    const [gone] = mine.splice(Math.floor(random() * mine.length), 1);
    await operations.deleteObject(gone as string);
  } else if (kind < 0.97) {
    // Rights come and go meanwhile, each removal with its barrier.
    const other = users[(index + 1) % users.length] as string;
    const shared = await tx.query("SELECT uuid FROM links WHERE tail_uuid = $1 AND head_uuid = $2", [other, project]);
    if (shared[0]) await operations.unshare(shared[0].need("uuid"));
    else await operations.share(other, project, "can_read");
  } else {
    await operations.insertForgedLog({ objectUuid: pick(mine, random), eventType: "update" });
  }
}

/** Many rows by two statements, as an import would look to PostgreSQL. */
async function bulk({ tx, random, projects }: Writer, count: number): Promise<void> {
  const owner = pick(projects, random);
  const stem = Math.floor(random() * 36 ** 9)
    .toString(36)
    .padStart(9, "0");
  const uuid = `'${tx.clusterId}-' || $1::varchar || '-${stem}' || lpad(n::text, 6, '0')`;
  await tx.query(
    `INSERT INTO collections (uuid, owner_uuid, created_at, updated_at, modified_at, name, current_version_uuid)
     SELECT ${uuid}, $2::varchar, now(), now(), now(), 'bulk ' || n, ${uuid} FROM generate_series(1, ${count}) n`,
    ["4zz18", owner],
  );
  await tx.query(
    `INSERT INTO logs (uuid, owner_uuid, object_uuid, object_owner_uuid, event_type, event_at, created_at, updated_at, properties)
     SELECT '${tx.clusterId}-57u5n-${stem}' || lpad(n::text, 6, '0'), $2::varchar, ${uuid}, $2::varchar, 'create', now(), now(), now(),
       json_build_object('old_attributes', null, 'new_attributes', json_build_object('uuid', ${uuid}, 'owner_uuid', $2::varchar, 'name', 'bulk ' || n))::text
     FROM generate_series(1, ${count}) n`,
    ["4zz18", owner],
  );
}

/** The database went away, or comes back: SQLSTATE classes 08 and 57, or a socket that ended. */
function isOutage(error: unknown): boolean {
  const { code = "", message = "" } = error as { code?: string; message?: string };
  return (
    /^(08|57)|ECONN|EPIPE/.test(code) ||
    /terminated|ended|timeout exceeded|not queryable/i.test(message) ||
    (error instanceof pg.DatabaseError && code === "40P01")
  );
}
