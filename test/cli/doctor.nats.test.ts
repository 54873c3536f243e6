import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { jetstreamManager } from "@nats-io/jetstream";
import type { Finding } from "../../cli/doctor/finding.ts";
import { readNats } from "../../cli/doctor/read-nats.ts";
import { natsFindings } from "../../cli/doctor/streams.ts";
import { findNatsServer } from "../../dev/servers/nats-server.ts";
import { until } from "../../dev/testing/until.ts";
import { declaredStreams } from "../../streams-config/streams.ts";
import { startNats, type TestNats } from "../support/servers/nats.ts";

const MIB = 1024 * 1024;
const PROFILE = {
  replicas: 1,
  recordsBytes: 256 * MIB,
  logsBytes: 256 * MIB,
  graphLogBytes: 64 * MIB,
  syslogBytes: 64 * MIB,
  maxMsgSize: MIB,
};
const DECLARED = declaredStreams({ clusterId: "zzzzz", profile: PROFILE });

async function doctor(nats: TestNats, now = Date.now): Promise<Record<string, Finding>> {
  const CORE = await nats.connect("bridge", "CORE");
  const STORE = await nats.connect("bridge", "STORE");
  const facts = await readNats({ CORE, STORE }, DECLARED, { clusterId: nats.clusterId, url: nats.server.url, now });
  const findings = natsFindings(DECLARED, facts, { profile: "single", staleness: 5_000 });
  return Object.fromEntries(findings.map((finding) => [finding.name, finding]));
}

const notOk = (findings: Record<string, Finding>) =>
  Object.values(findings)
    .filter(({ state }) => state !== "ok")
    .map(({ name, state }) => `${state} ${name}`);

describe("doctor, of nats-server", () => {
  let nats: TestNats;
  before(async () => {
    nats = await startNats();
  });
  after(() => nats?.[Symbol.asyncDispose]());

  it("finds nothing wrong with the bridge's own permissions, and shows what streams hold", async () => {
    const findings = await doctor(nats);
    assert.deepEqual(notOk(findings), []);
    assert.equal(Object.keys(findings).length, DECLARED.length + 4);
    assert.match(findings["stream RECORDS"]?.saw ?? "", /^0 messages, 0 B of at most 256 MiB$/);
  });

  it("compares nats-server's clock with the clock given to it", async () => {
    const late = await doctor(nats, () => Date.now() - 60_000);
    assert.deepEqual(notOk(late), ["bad nats-server's clock"]);
    assert.match(late["nats-server's clock"]?.saw ?? "", /is 60\.0 s ahead/);
  });

  it("names a stream that drifted and one that cannot be corrected, with remedies", async () => {
    const jsm = await jetstreamManager(await nats.connect("streams", "STORE"));
    await jsm.streams.update("QUEUE", { max_msg_size: 1_000 });
    await jsm.streams.update("RECORDS", { max_bytes: 2 * PROFILE.recordsBytes });
    const findings = await doctor(nats);
    assert.deepEqual(notOk(findings), ["bad stream RECORDS", "bad stream QUEUE"]);
    assert.match(findings["stream QUEUE"]?.saw ?? "", /not as declared: max_msg_size/);
    assert.match(findings["stream QUEUE"]?.todo ?? "", /streams plan/);
    assert.match(findings["stream RECORDS"]?.saw ?? "", /would shrink/);
  });

  it("names streams that are missing, and cannot read the clock without one", async () => {
    await using empty = await startNats({ streams: false });
    const findings = await doctor(empty);
    const missing = DECLARED.map(({ name }) => `bad stream ${name}`);
    assert.deepEqual(notOk(findings), [...missing, "unknown nats-server's clock", "unknown commits"]);
    assert.equal(findings["strict mode"]?.state, "ok");
    assert.match(findings["stream GRAPH"]?.todo ?? "", /streams apply/);
  });

  it("sees that strict mode is off", async () => {
    await using lax = await startNats();
    // Now its configuration names its ports.
    await lax.server.restart();
    const conf = await readFile(lax.server.confPath, "utf8");
    await lax.server.kill9();
    await writeFile(lax.server.confPath, conf.replace("strict: true", "strict: false"));
    const child = spawn((await findNatsServer()).path, ["-c", lax.server.confPath], { stdio: "ignore" });
    try {
      const findings = await until(() => doctor(lax).catch(() => null), "the server to be there again");
      assert.deepEqual(notOk(findings), ["bad strict mode"]);
      assert.match(findings["strict mode"]?.todo ?? "", /strict: true/);
    } finally {
      child.kill("SIGKILL");
      await once(child, "exit");
    }
  });
});
