/** Arvados' side of a host, as far as it is in PostgreSQL: `arvados.ts seed URL` makes tables and people and says who alice is (her token, her uuid), `arvados.ts work URL OWNER` makes projects, on and on. */

import { createSchema } from "../../dev/database.ts";
import { seedDemo } from "../../dev/seed.ts";
import { createSimulator } from "../../dev/simulator/index.ts";

const [what, url = "", owner = ""] = process.argv.slice(2);
if (what === "seed") await createSchema(url);
const arvados = createSimulator({ connection: { connectionString: url }, clusterId: "zzzzz" });
if (what === "seed") {
  await arvados.seed();
  const { users } = await seedDemo(arvados);
  process.stdout.write(`${users.alice.token.v2} ${users.alice.uuid}\n`);
  await arvados.close();
} else {
  for (let turn = 0; ; turn++) {
    await arvados.createProject({ name: `project ${turn}`, owner });
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}
