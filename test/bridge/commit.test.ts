import assert from "node:assert/strict";
import { CommitAssembler, type PgMessage } from "../../bridge/commit.ts";
import { utcMillis } from "../../bridge/row.ts";
import { Fault } from "../../core/errors.ts";

const BEGIN: PgMessage = { tag: "begin", commitTime: 0n, xid: -1 };
const END: PgMessage = { tag: "commit", commitEndLsn: "00000016/B374D848", commitTime: 1_700_000_000_123_456n };

function assemble(...messages: PgMessage[]) {
  const assembler = new CommitAssembler();
  return messages.map((message) => assembler.take(message)).find((commit) => commit !== null);
}

describe("a commit", () => {
  it("is whole or nothing", () => {
    const users = { name: "users" };
    const commit = assemble(
      BEGIN,
      { tag: "insert", relation: users, new: { id: "7", uuid: "u" } },
      { tag: "update", relation: users, new: { id: "7", uuid: "u" } },
      { tag: "delete", relation: users, key: { id: "7" }, old: null },
      END,
    );
    assert.deepEqual(
      commit?.rows.map(({ op, id }) => [op, id]),
      [
        ["insert", 7],
        ["update", 7],
        ["delete", 7],
      ],
    );
    assert.equal(commit?.lsn, 0x16_b374_d848n);
    assert.equal(commit?.time, 1_700_000_000_123);
    assert.equal(commit?.xid, 2 ** 32 - 1, "transaction ids are unsigned");
    assert.equal(assemble(BEGIN, { tag: "insert", relation: users, new: { id: "7" } }), undefined);
  });

  it("knows a row of a table without `id` by its uuid", () => {
    const credentials = { name: "credentials" };
    const uuid = "zzzzz-oss07-credentialccccc";
    const commit = assemble(
      BEGIN,
      { tag: "insert", relation: credentials, new: { uuid, owner_uuid: "o" } },
      { tag: "delete", relation: credentials, key: { uuid }, old: null },
      END,
    );
    assert.deepEqual(
      commit?.rows.map(({ id }) => id),
      [uuid, uuid],
    );
  });

  it("leaves out tables that nobody asked for, and log rows with NULL where Arvados always has a value", () => {
    const log = {
      object_uuid: "zzzzz-4zz18-collectionccccc",
      event_type: "update",
      event_at: "2026-11-25 01:02:03.456789",
      properties: "{}",
    };
    const insert = (name: string, row: Record<string, unknown>): PgMessage => ({
      tag: "insert",
      relation: { name },
      new: row,
    });
    const commit = assemble(
      BEGIN,
      insert("toString", { id: "1" }),
      insert("logs", log),
      insert("logs", { ...log, object_uuid: null }),
      insert("logs", { ...log, object_uuid: "nonsense.>" }),
      insert("logs", { ...log, event_at: null }),
      insert("logs", { ...log, event_type: "new\nline" }),
      END,
    );
    assert.deepEqual(commit?.rows, []);
    assert.equal(commit?.logs.length, 1);
    assert.equal(commit?.badLogs, 4);
  });

  it("drops at the door what is long or secret in a log row", () => {
    const properties = JSON.stringify({
      new_attributes: { uuid: "u", manifest_text: "secret blocks", name: "n".repeat(5_000_000), state: "Final" },
    });
    const log = {
      object_uuid: "zzzzz-4zz18-collectionccccc",
      event_type: "update",
      event_at: "2026-11-25 01:02:03.456789",
      properties,
    };
    const commit = assemble(BEGIN, { tag: "insert", relation: { name: "logs" }, new: log }, END);
    assert.deepEqual(JSON.parse(commit?.logs[0]?.new ?? ""), { uuid: "u", state: "Final" });
  });

  it("does not go on over a truncated table: what was in it is unknown", () => {
    assert.throws(
      () => assemble(BEGIN, { tag: "truncate", relations: [{ name: "links" }] }, END),
      (error) => error instanceof Fault && error.code === "postgres.truncated",
    );
  });
});

describe("PostgreSQL's times", () => {
  it("are UTC, whatever the process's own zone is", () => {
    assert.equal(utcMillis("2026-11-25 01:47:29.123456"), Date.UTC(2026, 10, 25, 1, 47, 29, 123));
    assert.equal(utcMillis("infinity"), null);
    assert.equal(utcMillis(null), null);
  });
});
