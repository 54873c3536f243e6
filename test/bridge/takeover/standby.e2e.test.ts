import assert from "node:assert/strict";
import pg from "pg";
import { runBridge } from "../../../bridge/main.ts";
import { until } from "../../../dev/testing/until.ts";
import { createLog, silentLog } from "../../../runtime/log/log.ts";
import { createMetrics } from "../../../runtime/metrics.ts";
import { createScope } from "../../../runtime/scope.ts";
import { startTestStack, type TestStack } from "../../support/worlds/stack.ts";

describe("a bridge that waits for another one's slot", () => {
  let stack: TestStack;
  let sql: pg.Client;
  before(async () => {
    stack = await startTestStack();
    sql = new pg.Client({ connectionString: stack.postgres.url(stack.config.postgres.dbname) });
    await sql.connect();
  });
  after(async () => {
    await sql?.end();
    await stack?.[Symbol.asyncDispose]();
  });

  const number = async (query: string) => Number((await sql.query<{ n: string }>(query)).rows[0]?.n);

  it("reports that it waits, and stops when it is asked to", async () => {
    await using scope = createScope();
    const metrics = createMetrics("bridge");
    const standby = await runBridge({ config: stack.config, log: silentLog(), metrics, scope });
    const { replication } = standby.readiness();
    assert.equal(replication?.ok, false);
    assert.match(replication?.says ?? "", /^another bridge reads the replication slot/);
    await standby.drain();
    assert.equal((await standby.done) ?? null, null);
  });

  it("leaves no connection to PostgreSQL behind, however often it tries", async () => {
    await using scope = createScope();
    const metrics = createMetrics("bridge");
    const lines: string[] = [];
    const log = createLog({ format: "json", sink: { write: (line) => void lines.push(line) } });
    const standby = await runBridge({ config: stack.config, log, metrics, scope });
    await until(() => lines.filter((line) => line.includes("could not lead")).length >= 5, "five tries");
    const senders = await number("SELECT count(*) AS n FROM pg_stat_activity WHERE backend_type = 'walsender'");
    assert.ok(senders <= 2, `${senders} of them`);
    await standby.drain();
  });

  it("stops also when it is asked to just as it gets the slot", async () => {
    await using scope = createScope();
    const metrics = createMetrics("bridge");
    const standby = await runBridge({ config: stack.config, log: silentLog(), metrics, scope });
    await stack.endService("bridge");
    const taken = "SELECT count(active_pid) AS n FROM pg_replication_slots";
    await until(async () => (await number(taken)) === 1, "the slot to be taken");
    assert.equal(standby.readiness().replication?.ok, false, "it does not lead yet");
    await standby.drain();
    await scope.close();
    await until(async () => (await number(taken)) === 0, "the slot to be free");
  });
});
