/**
 * The process of one stack of main.ts: PostgreSQL, nats-server and the services, with the cast of the attacks. The services run in
 * processes of their own, as in production: what one of them computes does not delay the others. Prints one JSON line (`StackFacts`) once
 * it is ready, and ends when its standard input does. `--unbounded`: without the bounds per user. `--profile DIR`: the services write processor
 * profiles. `--quick`: the services stay in this process, which starts sooner.
 */
import { once } from "node:events";
import pg from "pg";
import { freePorts } from "../../dev/servers/free-ports.ts";
import { type Stack, startStack } from "../../dev/stack.ts";
import { environmentOf } from "../../dev/testing/environment.ts";
import { silentLog } from "../../runtime/log/log.ts";
import { createScope } from "../../runtime/scope.ts";
import { startProgram } from "../support/processes.ts";
import { UNBOUNDED } from "../support/unbounded.ts";
import { CAST_SQL } from "./rows.ts";

const SERVICES = ["bridge", "authcallout", "proxy"] as const;

type Person = { uuid: string; token: string };

export type StackFacts = {
  clusterId: string;
  /** nats-server's. */
  port: number;
  database: string;
  /** eve comes back when she is cut; nobody has no session; carol reads thousands of single collections. */
  users: Record<"alice" | "bob" | "admin" | "eve" | "nobody" | "carol", Person>;
  projects: { notes: string; genomes: string };
  /** carol's, good for single objects only. `widest` has as many as a token may have, `tooWide` thousands. */
  scoped: Record<"widest" | "tooWide", Person>;
};

await using scope = createScope();
const unbounded = process.argv.includes("--unbounded");
const stack = await startStack({ scope, log: silentLog(), overrides: unbounded ? UNBOUNDED : {} });
if (!process.argv.includes("--quick")) await apart(stack);
process.stdout.write(`${JSON.stringify(await cast(stack))}\n`);
process.stdin.resume();
await once(process.stdin, "end");
await scope.close();
process.exit(0);

/** Ends the services in this process and starts each as a program. */
async function apart({ config, endService }: Stack): Promise<void> {
  const profile = process.argv[process.argv.indexOf("--profile") + 1];
  const node = process.argv.includes("--profile") ? ["--cpu-prof", "--cpu-prof-dir", profile as string] : [];
  for (const name of [...SERVICES].reverse()) await endService(name);
  const ports = await freePorts(SERVICES.length);
  await Promise.all(
    SERVICES.map(async (name, i) => {
      const admin = `127.0.0.1:${ports[i]}`;
      const program = await startProgram(process.execPath, [...node, "--import", "tsx", "cli/main.ts", name], {
        env: { ...environmentOf(config), [`ARVADOS_NATS_ADMIN_${name.toUpperCase()}`]: admin },
        until: async () => (await fetch(`http://${admin}/readyz`).catch(() => null))?.ok ?? false,
      });
      scope.defer(name, () => program.stop());
    }),
  );
}

async function cast({ arvados, cluster, config, nats, postgres }: Stack): Promise<StackFacts> {
  const database = postgres.url(config.postgres.dbname);
  const { alice, bob, admin } = cluster.users;
  const create = async (username: string): Promise<Person> => {
    const { uuid } = await arvados.createUser({ username });
    return { uuid, token: (await arvados.issueToken(uuid)).v2 };
  };
  const carol = await create("carol");
  const scoped = async (): Promise<Person> => {
    const { uuid, v2 } = await arvados.issueToken(carol.uuid, { scopes: [] });
    return { uuid, token: v2 };
  };
  const facts: StackFacts = {
    clusterId: cluster.clusterId,
    port: Number(new URL(nats.url).port),
    database,
    users: {
      alice: { uuid: alice.uuid, token: alice.token.v2 },
      bob: { uuid: bob.uuid, token: bob.token.v2 },
      admin: { uuid: admin.uuid, token: admin.token.v2 },
      eve: await create("eve"),
      nobody: await create("nobody"),
      carol,
    },
    projects: cluster.projects,
    scoped: { widest: await scoped(), tooWide: await scoped() },
  };
  const client = new pg.Client({ connectionString: database });
  await client.connect();
  for (const sql of CAST_SQL(facts)) await client.query(sql);
  await client.end();
  return facts;
}
