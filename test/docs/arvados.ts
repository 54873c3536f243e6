/** Arvados' side of a host, as far as it is in PostgreSQL: `arvados.ts seed URL` makes tables and people, `arvados.ts work URL` changes something, on and on. */

import { createSchema } from "../../dev/database.ts";
import { seedDemo } from "../../dev/seed.ts";
import { createSimulator } from "../../dev/simulator/index.ts";

const [what, url = ""] = process.argv.slice(2);
if (what === "seed") await createSchema(url);
const arvados = createSimulator({ connection: { connectionString: url }, clusterId: "zzzzz" });
if (what === "seed") {
  await arvados.seed();
  const { users } = await seedDemo(arvados);
  process.stdout.write(`${users.alice.token.v2}\n`);
  await arvados.close();
} else {
  for (let turn = 0; ; turn++) {
    await arvados.createProject({ name: `project ${turn}`, owner: "zzzzz-tpzed-000000000000000" });
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}
