/** G2: each event once, in commit order, whole commits, whatever is killed. `npm run chaos:bridge` runs longer. */
import assert from "node:assert/strict";
import { until } from "../support/until.ts";
import { chaos } from "./chaos.ts";
import { check } from "./checker.ts";
import { readCommitLog } from "./commit-log.ts";
import { type BridgeProcess, startWorld } from "./world.ts";

const leading = (bridge: BridgeProcess) => bridge.lines.some((line) => line.includes('"leading:'));

/**
 * The leader is stopped while commits stream through it, loses the slot to another one, and wakes up with what it still held.
 * Returns the findings.
 */
async function wakeUp(flag?: "unfenced") {
  await using world = await startWorld({ wal_sender_timeout: "1s" });
  const { uuid: user } = await world.arvados.createUser({ username: "writer" });
  const { uuid: project } = await world.arvados.createProject({ name: "project", owner: user });
  const old = world.bridge("old", flag);
  await until(() => leading(old), "the first bridge to lead", 15_000);
  const write = async (count: number) => {
    for (let i = 0; i < count; i++) await world.arvados.createCollection({ name: `c ${i}`, owner: project });
  };
  await write(20);
  await until(async () => (await world.records()).length >= 20, "the first bridge to publish");
  // PostgreSQL goes on sending to the stopped bridge: this is what it finds in its socket when it wakes up.
  old.signal("SIGSTOP");
  await write(30);
  const next = world.bridge("next", flag);
  await until(() => leading(next), "the second bridge to lead", 20_000);
  await write(10);
  const commits = await readCommitLog(world.pool);
  const last = commits.at(-1)?.lsn;
  await until(
    async () => (await world.records()).some(({ lsn }) => lsn === last),
    "the second bridge to catch up",
    10_000,
  );
  const stored = (await world.records()).length;
  const said = old.lines.length;
  old.signal("SIGCONT");
  // It is a standby now, or gone and started anew.
  const waits = () => old.lines.slice(said).some((line) => line.includes("another bridge reads"));
  await until(waits, "the first bridge to wait its turn", 15_000);
  const places = new Map([[project, `${user}.${project}`]]);
  const records = await world.records();
  return {
    findings: check(commits, records, places, world.subjectPrefix),
    grown: records.length - stored,
  };
}

describe("the bridge, with everything killed around it", () => {
  it("leaves in RECORDS what was committed, each once, in order, whole", async () => {
    await using world = await startWorld();
    const { findings, kills, commits } = await chaos(world, { seconds: 12, seed: 1 });
    assert.deepEqual(findings.slice(0, 5), []);
    assert.ok(commits > 100 && Object.values(kills).reduce((a, b) => a + b) > 3, JSON.stringify({ commits, kills }));
  });
});

describe("a bridge that was stopped while another took over", () => {
  it("changes nothing when it wakes up", async () => {
    const { findings, grown } = await wakeUp();
    assert.deepEqual(findings.slice(0, 5), []);
    assert.equal(grown, 0);
  });

  it("would repeat itself without the fence", async () => {
    const { findings } = await wakeUp("unfenced");
    assert.ok(
      findings.some(({ what }) => what === "repeated"),
      JSON.stringify(findings.slice(0, 3)),
    );
  });
});
