/** G2: each event once, in commit order, whole commits, whatever is killed. `npm run chaos:bridge` runs longer. */
import assert from "node:assert/strict";
import { HEADER } from "../../core/wire/wire.ts";
import { until } from "../../dev/testing/until.ts";
import { startTcpRelay } from "../support/servers/relay.ts";
import { CHAOS_WORLD, chaos } from "./chaos.ts";
import { assertNone, leading, prepare } from "./scene.ts";
import { startChaosWorld } from "./world.ts";

describe("the bridge, with everything killed around it", () => {
  it("leaves in RECORDS what was committed, each once, in order, whole", async () => {
    await using world = await startChaosWorld(CHAOS_WORLD);
    const { findings, faults, commits, tally, story } = await chaos(world, { seconds: 5, seed: 1 });
    assert.deepEqual(findings.slice(0, 5), [], story.join("\n"));
    const { rolledBack, savepoints, outOfIdOrder } = tally;
    const seen = { commits, rolledBack, savepoints, outOfIdOrder, ...faults };
    assert.ok(Math.min(commits, rolledBack, savepoints, outOfIdOrder) > 0 && story.length >= 5, JSON.stringify(seen));
  }).timeout(180_000);
});

/** nats-server's answer to a publish whose expected last sequence does not hold. */
const REFUSED = '"err_code":10071';

/**
 * The leader is stopped while its publishes are on their way, loses the slot to another one, then they arrive, and then it wakes up to
 * what PostgreSQL has sent it meanwhile.
 */
async function wakeUp({ unfenced = false } = {}) {
  await using world = await startChaosWorld({ walSenderTimeout: 1_000 });
  const scene = await prepare(world);
  let answers = "";
  await using wire = await startTcpRelay({
    to: () => [Number(new URL(world.nats.server.url).port)],
    onAnswer: (text) => {
      answers += text;
    },
  });
  const old = world.bridge("old", { natsUrl: `nats://127.0.0.1:${wire.port}`, unfenced });
  await leading(old);
  await scene.publish(20);
  wire.hold();
  await scene.commit(10);
  await until(() => wire.held().split(HEADER.eventId).length > 10, "publishes that do not arrive");
  // PostgreSQL still sends to the stopped bridge, which finds this in its socket when it continues.
  old.signal("SIGSTOP");
  await scene.commit(30);
  const next = world.bridge("next", { unfenced });
  await leading(next);
  await scene.publish(10);
  const stored = (await world.records()).length;
  answers = "";
  wire.release();
  await until(() => answers.includes('"stream":"RECORDS"'), "nats-server to answer what arrives late");
  const refused = answers.includes(REFUSED);
  const said = old.lines.length;
  old.signal("SIGCONT");
  // It is a standby now, or was started again.
  const waits = () => old.lines.slice(said).some((line) => line.includes("another bridge reads"));
  await until(waits, "the first bridge to wait its turn");
  const grown = (await world.records()).length - stored;
  return { findings: await scene.findings(), grown, refused, said: old.lines.slice(said) };
}

describe("a bridge that was stopped while another took over", () => {
  it("changes nothing by its late messages or after it continues", async () => {
    const { findings, grown, refused, said } = await wakeUp();
    assertNone(findings);
    assert.equal(grown, 0);
    assert.ok(refused, "what arrived late was refused for its expected last sequence");
    // By the refusal its process ends. Where all is slow it may first notice the silence before, or that PostgreSQL is gone.
    assert.match(said.join("\n"), /another process wrote into stream RECORDS|acknowledged nothing|"could not lead/);
  });

  it("would repeat events without the fence", async () => {
    const { findings, refused } = await wakeUp({ unfenced: true });
    assert.ok(
      findings.some(({ what }) => what === "repeated"),
      JSON.stringify(findings.slice(0, 3)),
    );
    assert.ok(!refused);
  });
});
