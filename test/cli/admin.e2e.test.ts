/** The admins' commands against the whole product. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { environmentOf } from "../../dev/testing/environment.ts";
import { until } from "../../dev/testing/until.ts";
import { spawnCli } from "../support/clients/cli.ts";
import { startTestStack, type TestStack } from "../support/worlds/stack.ts";

describe("an admin's command", () => {
  let stack: TestStack;
  const run = (...args: string[]) => spawnCli(args, environmentOf(stack.config));

  before(async () => {
    stack = await startTestStack();
  });
  after(() => stack?.[Symbol.asyncDispose]());

  it("sessions, kick: shows a user's sessions and closes them", async () => {
    const { alice } = stack.cluster.users;
    const nc = await stack.connectBare(alice.token.v2);
    const listed = await run("sessions", "--user", alice.uuid, "--json");
    const rows = JSON.parse(listed.out) as { user: string; token: string }[];
    assert.deepEqual(
      rows.map(({ user, token }) => [user, token]),
      [[alice.uuid, alice.token.uuid]],
    );
    const kicked = await run("kick", "--user", alice.uuid);
    assert.match(kicked.out, /1 of 1 sessions closed/);
    await until(() => nc.isClosed(), "the session to be closed");
  });

  it("servers: lists those that were seen, and refuses to forget one that was not", async () => {
    assert.match((await run("servers")).out, /^arvados-nats-zzzzz {2}N\w+ {2}answers/);
    const { code, err } = await run("servers", "forget", "nobody");
    assert.equal(code, 2);
    assert.match(err, /no nats-server with the name nobody/);
  });

  it("doctor: finds nothing bad in a product that works, and ends with 1 once something is", async () => {
    const well = await run("doctor");
    assert.equal(well.code, 0, well.text);
    assert.match(well.out, /^ok {7}slot arvados_nats {2,}is read by backend \d+$/m);
    assert.match(well.out, / 0 bad, 0 unknown$/m);
    const lost = { ...stack.config, natsUrl: "nats://127.0.0.1:1", postgres: { ...stack.config.postgres, port: 1 } };
    const { code, out } = await spawnCli(["doctor", "--json"], environmentOf(lost));
    assert.equal(code, 1);
    const findings = JSON.parse(out) as { name: string; state: string; todo: string }[];
    assert.deepEqual(
      findings.map(({ name, state }) => `${state} ${name}`),
      ["bad PostgreSQL", "bad nats-server"],
    );
    for (const { todo } of findings) assert.match(todo, /check that it runs/);
  });

  it("explain, impact: say why, and what a change would do", async () => {
    const { users, projects } = stack.cluster;
    const yes = await run("explain", users.alice.uuid, projects.genomes);
    assert.equal(yes.code, 0, yes.text);
    const no = await run("explain", users.bob.uuid, projects.genomes);
    assert.equal(no.code, 1, no.text);
    assert.match(no.out, /may not read/);
    assert.match((await run("impact", "--unlink", "zzzzz-o0j2j-000000000000000")).out, /^0 users would lose rights/m);
    assert.equal((await run("explain", users.bob.uuid, "nonsense")).code, 2);
  });

  it("whoami: takes its token from a file and prints none", async () => {
    const dir = await mkdtemp(join(tmpdir(), "arvados-nats-token-"));
    const { token, uuid } = stack.cluster.users.alice;
    await writeFile(join(dir, "token"), `${token.v2}\n`, { mode: 0o600 });
    await writeFile(join(dir, "bad"), "v2/zzzzz-gj3su-000000000000000/nosuchsecret\n");
    const { out, text } = await run("whoami", "--token-file", join(dir, "token"));
    assert.equal((JSON.parse(out) as { user_uuid: string }).user_uuid, uuid);
    assert.ok(!text.includes(token.secret));
    const refused = await run("whoami", "--token-file", join(dir, "bad"));
    assert.equal(refused.code, 2);
    assert.ok(!refused.text.includes("nosuchsecret"));
    await rm(dir, { recursive: true });
  });
});
