/**
 * What PostgreSQL publishes is changed under a running bridge. PostgreSQL says nothing of it: it decodes commits without what is missing, so a
 * right that is taken away would stay. Here each change is noticed, said, and followed by a new reading of the graph, under a new epoch.
 */
import assert from "node:assert/strict";
import pg from "pg";
import { databaseTarget, runBridge, setupNames } from "../../../bridge/main.ts";
import { setupDb } from "../../../bridge/postgres/setup-db.ts";
import { until } from "../../../dev/testing/until.ts";
import { createLog, silentLog } from "../../../runtime/log/log.ts";
import { createMetrics } from "../../../runtime/metrics.ts";
import { createScope } from "../../../runtime/scope.ts";
import type { Service } from "../../../runtime/service.ts";
import { shareWithBob } from "../../support/checks/sharer.ts";
import { NO_CATALOG_WATCH } from "../../support/worlds/bridge-guards.ts";
import { type StackListener, startTestStack, type TestStack } from "../../support/worlds/stack.ts";

const LINKS = "public.links (id, uuid, owner_uuid, tail_uuid, head_uuid, link_class, name)";

describe("a bridge under which the publications are changed", () => {
  let stack: TestStack;
  let sql: pg.Client;
  let witness: StackListener;
  const lines: string[] = [];
  let bridge: Pick<Service, "readiness">;

  before(async () => {
    const write = (line: string) => void lines.push(line);
    stack = await startTestStack({ log: createLog({ level: "info", format: "json", sink: { write } }) });
    sql = new pg.Client({ connectionString: stack.postgres.url(stack.config.postgres.dbname) });
    await sql.connect();
    witness = await stack.witness();
    bridge = stack.services.bridge;
  });
  after(async () => {
    await sql?.end();
    await stack?.[Symbol.asyncDispose]();
  });

  const state = () => bridge.readiness().replication as { ok: boolean; says: string };
  const epoch = () => Number(/^leading from revision (\d+)\./.exec(state().says)?.[1] ?? 0);
  const setUp = async () => {
    const lines: string[] = [];
    await setupDb(databaseTarget(stack.config), setupNames(stack.config), {
      dryRun: false,
      print: (line) => void lines.push(line),
    });
    return lines.join("\n");
  };
  const nextEpoch = (before: number) =>
    until(
      () => epoch() > before,
      () => `an epoch behind ${before}: ${state().says}`,
    );

  const CASES: [what: string, sql: string, says: RegExp, mended: RegExp][] = [
    [
      "a table is taken out",
      "ALTER PUBLICATION arvados_nats DROP TABLE links",
      /links is not published/,
      /brought into line .*links is not published/,
    ],
    [
      "the whole publication is dropped",
      "DROP PUBLICATION arvados_nats",
      /has no arvados_nats|there is none/,
      /made publication arvados_nats/,
    ],
    [
      "it no longer publishes deletes",
      "ALTER PUBLICATION arvados_nats SET (publish = 'insert, update')",
      /does not publish delete, truncate/,
      /brought into line/,
    ],
    [
      "a column is left out",
      "ALTER PUBLICATION arvados_nats SET TABLE public.users (id, uuid)",
      /users lacks owner_uuid/,
      /brought into line/,
    ],
  ];
  for (const [what, change, says, mended] of CASES) {
    it(`says so where ${what}, and after setup-db nobody keeps a right that was taken away meanwhile`, async () => {
      const was = epoch();
      const share = await shareWithBob(stack, witness);
      await sql.query(change);
      await until(
        () => !state().ok && says.test(state().says),
        () => `it to be said: ${state().says}`,
      );
      assert.ok(
        lines.some(
          (line) => line.includes("changed during replication") && line.includes("run `arvados-nats setup-db`"),
        ),
      );
      await share.unshare();
      assert.match(await setUp(), mended);
      await nextEpoch(was);
      assert.equal(await share.bobHears(), false, "bob, whose right was taken away");
      assert.match(await setUp(), /nothing to do/);
    });
  }

  it("reads the graph again where a table was taken out and put back between two beats, with a revocation in between", async () => {
    const was = epoch();
    const share = await shareWithBob(stack, witness);
    await sql.query("ALTER PUBLICATION arvados_nats DROP TABLE links");
    await share.unshare();
    await sql.query(`ALTER PUBLICATION arvados_nats ADD TABLE ${LINKS}`);
    await nextEpoch(was);
    assert.equal(await share.bobHears(), false);
  });

  for (const putBack of [true, false]) {
    it(`lets nothing out that is committed right behind the change${putBack ? ", though it is put back at once" : ""}`, async () => {
      const was = epoch();
      const share = await shareWithBob(stack, witness);
      const heard = share.heard();
      await sql.query("ALTER PUBLICATION arvados_nats DROP TABLE links");
      await share.unshare();
      await share.change();
      if (putBack) await sql.query(`ALTER PUBLICATION arvados_nats ADD TABLE ${LINKS}`);
      else await setUp();
      await nextEpoch(was);
      assert.equal(await share.bobHears(), false);
      assert.equal(share.heard(), heard, "and nothing that was committed before anybody noticed");
    });
  }

  it("says that Arvados' own writes fail where a table has no replica identity, and continues once it has", async () => {
    const was = epoch();
    await sql.query("ALTER TABLE links REPLICA IDENTITY NOTHING");
    await until(
      () => /links has REPLICA IDENTITY NOTHING/.test(state().says),
      () => state().says,
    );
    await sql.query("ALTER TABLE links REPLICA IDENTITY DEFAULT");
    await nextEpoch(was);
  });

  it("knows when it starts what was changed and put back while no bridge ran", async () => {
    const was = epoch();
    const share = await shareWithBob(stack, witness);
    await stack.endService("bridge");
    await sql.query("ALTER PUBLICATION arvados_nats DROP TABLE links");
    await share.unshare();
    await sql.query(`ALTER PUBLICATION arvados_nats ADD TABLE ${LINKS}`);
    await using scope = createScope();
    const metrics = createMetrics("bridge");
    const next = await runBridge({ config: stack.config, log: silentLog(), metrics, scope });
    bridge = next;
    await nextEpoch(was);
    assert.equal(await share.bobHears(), false);
    await next.drain();
  });
});

describe("a bridge that does not look at the publications", () => {
  it("misses the revocation: the negative control", async () => {
    await using stack = await startTestStack({ bridge: NO_CATALOG_WATCH });
    const sql = new pg.Client({ connectionString: stack.postgres.url(stack.config.postgres.dbname) });
    await sql.connect();
    const share = await shareWithBob(stack, await stack.witness());
    await sql.query("ALTER PUBLICATION arvados_nats DROP TABLE links");
    await share.unshare();
    await sql.query(`ALTER PUBLICATION arvados_nats ADD TABLE ${LINKS}`);
    assert.equal(await share.bobHears(), true, "bob still hears, and every service says that it is ready");
    await sql.end();
  });
});
