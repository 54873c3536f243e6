/** Commits as Arvados makes them, as fast as wanted: a new collection, its log row with both attributes, and the NOTIFY. */
import pg from "pg";
import { uuidOf } from "./uuid-of.ts";

/** One event's worth of rows, without the round trips that the simulator takes. */
const FUNCTIONS = `
CREATE OR REPLACE FUNCTION bench_create(object varchar, owner varchar, notify boolean DEFAULT true) RETURNS void LANGUAGE plpgsql AS $$
DECLARE log bigint;
BEGIN
  INSERT INTO collections (uuid, owner_uuid, created_at, updated_at, modified_at, name, current_version_uuid, portable_data_hash, manifest_text)
    VALUES (object, owner, now(), now(), now(), object, object, md5(object) || '+100', repeat('. d41d8cd98f00b204e9800998ecf8427e+0 0:0:a ', 20));
  INSERT INTO logs (uuid, owner_uuid, object_uuid, object_owner_uuid, event_type, event_at, created_at, updated_at, properties)
    SELECT overlay(object placing '57u5n' from 7 for 5), owner, object, owner, 'create', now(), now(), now(),
      json_build_object('old_attributes', null, 'new_attributes', row_to_json(c))::text FROM collections c WHERE uuid = object
    RETURNING id INTO log;
  IF notify THEN PERFORM pg_notify('logs', log::text); END IF;
END $$;
CREATE OR REPLACE PROCEDURE bench_commits(stem varchar, owner varchar, commits int, each_commit int) LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1..commits LOOP
    FOR j IN 1..each_commit LOOP
      PERFORM bench_create(stem || lpad(((i - 1) * each_commit + j)::text, 8, '0'), owner);
    END LOOP;
    COMMIT;
  END LOOP;
END $$;
`;

/** Resolves at this time (by `performance.now`), or at once where it is over. */
async function dueAt(time: number): Promise<void> {
  const wait = time - performance.now();
  if (wait > 1) await new Promise((resolve) => setTimeout(resolve, wait));
}

/** Of all loads of this process: no two objects have one uuid. */
let made = 0;
let stems = 0;

export type Load = Awaited<ReturnType<typeof createLoad>>;

export async function createLoad(url: string, owner: string, connections = 8) {
  const pool = new pg.Pool({ connectionString: url, max: connections });
  await pool.query(FUNCTIONS);
  return {
    /** `rate` commits a second for `seconds`; `onCommit` is told of each right before COMMIT is sent. */
    async paced(rate: number, seconds: number, onCommit: (object: string) => void): Promise<number> {
      const total = Math.max(1, Math.round(rate * seconds));
      const begun = performance.now();
      let next = 0;
      const worker = async () => {
        const client = await pool.connect();
        try {
          while (next < total) {
            await dueAt(begun + (next++ / rate) * 1_000);
            const object = uuidOf("4zz18", ++made);
            await client.query(`BEGIN; SELECT bench_create('${object}', '${owner}')`);
            onCommit(object);
            await client.query("COMMIT");
          }
        } finally {
          client.release();
        }
      };
      await Promise.all(Array.from({ length: connections }, worker));
      return total;
    },
    /** Commits by all connections for `ms`, `rate` a second or, with Infinity, as many as they can; resolves with those a second that were done in time. */
    async writes(rate: number, ms: number, notify: boolean): Promise<number> {
      const begun = performance.now();
      const end = begun + ms;
      let [next, done] = [0, 0];
      const worker = async () => {
        for (;;) {
          const due = begun + (next++ / rate) * 1_000;
          if (Math.max(due, performance.now()) >= end) return;
          await dueAt(due);
          await pool.query(`SELECT bench_create('${uuidOf("4zz18", ++made)}', '${owner}', ${notify})`);
          if (performance.now() <= end) done++;
        }
      };
      await Promise.all(Array.from({ length: connections }, worker));
      return (done * 1_000) / ms;
    },
    /** Commits of so many events each, one after the other, until it is stopped; resolves then with the events a second. */
    flow(rate: number, eachCommit: number) {
      const begun = performance.now();
      let [commits, going] = [0, true];
      const run = async () => {
        for (; going; commits++) {
          await dueAt(begun + (commits * eachCommit * 1_000) / rate);
          const objects = Array.from(
            { length: eachCommit },
            () => `bench_create('${uuidOf("4zz18", ++made)}', '${owner}')`,
          );
          await pool.query(`SELECT ${objects.join(", ")}`);
        }
      };
      const running = run();
      return async (): Promise<number> => {
        going = false;
        await running;
        return (commits * eachCommit * 1_000) / (performance.now() - begun);
      };
    },
    /** So many commits of so many events each, by `writers` at once, as fast as PostgreSQL takes them. */
    async burst(commits: number, eachCommit: number, writers: number): Promise<number> {
      const share = Math.ceil(commits / writers);
      await Promise.all(
        Array.from({ length: writers }, () =>
          pool.query("CALL bench_commits($1, $2, $3, $4)", [
            `zzzzz-4zz18-b${String(++stems).padStart(6, "0")}`,
            owner,
            share,
            eachCommit,
          ]),
        ),
      );
      return share * writers * eachCommit;
    },
    /** Has PostgreSQL do now what it would do by itself in the next minutes: vacuum what was written, and write it out. */
    async tidy(): Promise<void> {
      await pool.query("VACUUM (ANALYZE) collections, logs");
      await pool.query("CHECKPOINT");
    },
    close: () => pool.end(),
  };
}
