/** nats-server is killed under many sessions, and all want to come back at once. */
import pg from "pg";
import type { Stack } from "../../dev/stack.ts";
import { type Measurement, row } from "../support/measure.ts";
import { openMany, openOne } from "../support/raw-session.ts";

const USERS = 20;
/** As clients wait between attempts, with jitter. */
const RETRY_MS = 250;
/** The bridge looks at the database once when it becomes the leader; a login asks it nothing. */
const STATEMENTS_PER_LOGIN = 0.1;

export async function measureStorm({ arvados, nats }: Stack, count: number): Promise<Measurement[]> {
  const port = Number(new URL(nats.url).port);
  const tokens: string[] = [];
  for (let i = 0; i < USERS; i++) {
    const { uuid } = await arvados.createUser({ username: `storm${i}` });
    tokens.push((await arvados.issueToken(uuid)).v2);
  }
  const sessions = await openMany(port, tokens, count);
  const statements = countStatements();
  const begun = performance.now();
  const back = sessions.map(async ({ closed }, i) => {
    await closed;
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, Math.random() * RETRY_MS));
      const session = await openOne(port, tokens[i % USERS] as string);
      if (session) return { session, at: performance.now() };
    }
  });
  await nats.kill9();
  await nats.restart();
  const returned = await Promise.all(back);
  const times = returned.map(({ at }) => at - begun).sort((a, b) => a - b);
  const asked = statements.stop();
  for (const { session } of returned) session.close();
  return [
    row(
      `kill -9 of nats-server under ${count} sessions: half of them back`,
      times[Math.floor(count / 2)] as number,
      "ms",
    ),
    row(`kill -9 of nats-server under ${count} sessions: all back`, times.at(-1) as number, "ms"),
    row("SQL statements meanwhile, by logins", asked / count, "/login", STATEMENTS_PER_LOGIN),
  ];
}

/** The whole product runs in this process, so all that it asks PostgreSQL goes through here. */
function countStatements() {
  const { query } = pg.Client.prototype;
  let count = 0;
  pg.Client.prototype.query = function counted(this: pg.Client, ...args: unknown[]) {
    count++;
    return Reflect.apply(query, this, args);
  } as typeof query;
  return {
    stop() {
      pg.Client.prototype.query = query;
      return count;
    },
  };
}
