import assert from "node:assert/strict";
import { type Commit, CommitAssembler } from "../../../bridge/commit/commit.ts";
import type { PgMessage } from "../../../bridge/postgres/pgoutput.ts";
import { TOO_LONG } from "../../../bridge/postgres/row.ts";

const BEGIN: PgMessage = { tag: "begin", lsn: 0n, xid: 2 ** 32 - 1 };
const END: PgMessage = { tag: "commit", endLsn: 0x16_b374_d848n, time: 1_700_000_000_123 };
const OBJECT = "zzzzz-4zz18-collectionccccc";
const AT = "2026-11-25 01:02:03.456789";

const relation = (name: string) => ({ schema: "public", name });
const insert = (name: string, row: Record<string, unknown>): PgMessage => ({
  tag: "insert",
  relation: relation(name),
  new: row,
});

function assemble(messages: readonly PgMessage[], memory?: { limit: number }): Commit | undefined {
  const assembler = new CommitAssembler(memory);
  return messages.map((message) => assembler.add(message)).find((commit) => commit !== null) ?? undefined;
}

describe("a commit", () => {
  it("is complete, or is discarded", () => {
    const users = relation("users");
    const commit = assemble([
      BEGIN,
      { tag: "insert", relation: users, new: { id: "7", uuid: "u" } },
      { tag: "update", relation: users, old: null, new: { id: "7", uuid: "u" } },
      { tag: "delete", relation: users, old: { id: "7" } },
      { tag: "truncate", relations: [users] },
      END,
    ]);
    assert.deepEqual(
      [...(commit?.rows ?? [])].map(({ op, id }) => [op, id]),
      [
        ["insert", 7],
        ["update", 7],
        ["delete", 7],
        ["truncate", null],
      ],
    );
    assert.equal(commit?.lsn, 0x16_b374_d848n);
    assert.equal(commit?.time, 1_700_000_000_123);
    assert.equal(commit?.xid, 2 ** 32 - 1);
    assert.equal(assemble([BEGIN, insert("users", { id: "7" })]), undefined);
  });

  it("knows a row of a table without `id` by its uuid, and a key that is no exact number by its text", () => {
    const uuid = "zzzzz-oss07-credentialccccc";
    const commit = assemble([
      BEGIN,
      insert("credentials", { uuid, owner_uuid: "o" }),
      { tag: "delete", relation: relation("credentials"), old: { uuid } },
      insert("links", { id: "9007199254740993" }),
      END,
    ]);
    assert.deepEqual(
      [...(commit?.rows ?? [])].map(({ id }) => id),
      [uuid, uuid, "9007199254740993"],
    );
  });

  it("knows which key a row had before", () => {
    const update = (old: Record<string, unknown> | null): PgMessage => ({
      tag: "update",
      relation: relation("links"),
      old,
      new: { id: "8", uuid: "u" },
    });
    const commit = assemble([BEGIN, update({ id: "7" }), update({ id: "8" }), update(null), END]);
    assert.deepEqual(
      [...(commit?.rows ?? [])].map((change) => ("formerId" in change ? change.formerId : undefined)),
      [7, undefined, undefined],
    );
  });

  it("leaves out tables that are not read, and log rows with NULL where Arvados always has a value", () => {
    const log = { object_uuid: OBJECT, event_type: "update", event_at: AT, properties: "{}" };
    const bad = [
      { object_uuid: null },
      { object_uuid: "nonsense.>" },
      { object_uuid: TOO_LONG },
      { event_at: null },
      { event_at: "infinity" },
      { event_at: "-infinity" },
      { event_at: "0044-03-15 00:00:00 BC" },
      { event_type: "new\nline" },
    ];
    const logs = [log, ...bad.map((values) => ({ ...log, ...values }))];
    const commit = assemble([BEGIN, insert("toString", { id: "1" }), ...logs.map((row) => insert("logs", row)), END]);
    assert.equal(commit?.rows.length, 0);
    assert.equal(commit?.logs.length, 1);
    assert.equal(commit?.badLogs, bad.length);
  });

  it("drops long and secret values of a log row as it is read", () => {
    const properties = JSON.stringify({
      new_attributes: { uuid: "u", manifest_text: "secret blocks", name: "n".repeat(5_000_000), state: "Final" },
    });
    const commit = assemble([
      BEGIN,
      insert("logs", { object_uuid: OBJECT, event_type: "update", event_at: AT, properties: Buffer.from(properties) }),
      END,
    ]);
    const [log] = commit?.logs ?? [];
    assert.deepEqual(JSON.parse(log?.new ?? ""), { uuid: "u", state: "Final" });
  });

  it("is the same, in memory or in a file", () => {
    const messages = [
      BEGIN,
      ...Array.from({ length: 500 }, (_, n) =>
        insert("collections", { id: String(n), uuid: `u${n % 400}`, owner_uuid: `o${n}`, trash_at: null }),
      ),
      insert("links", { id: "1", uuid: "l", name: TOO_LONG, tail_uuid: null }),
      ...Array.from(
        { length: 50 },
        (_, n): PgMessage => ({ tag: "delete", relation: relation("collections"), old: { id: String(n) } }),
      ),
      ...Array.from({ length: 300 }, () =>
        insert("logs", { object_uuid: OBJECT, event_type: "x", event_at: AT, properties: "{}" }),
      ),
      END,
    ];
    const inMemory = assemble(messages) as Commit;
    const inFile = assemble(messages, { limit: 1_000 }) as Commit;
    assert.ok(inFile.logs.isSpilled && !inMemory.logs.isSpilled);
    assert.deepEqual([...inFile.rows], [...inMemory.rows]);
    assert.deepEqual([...inFile.logs], [...inMemory.logs]);
    for (let n = 0; n < 510; n++) {
      assert.deepEqual(inFile.rows.ofUuid(`u${n}`), inMemory.rows.ofUuid(`u${n}`));
      assert.deepEqual(inFile.rows.ofId("collections", n), inMemory.rows.ofId("collections", n));
    }
    assert.equal(inFile.rows.ofUuid("u3")?.last?.row.owner_uuid, "o403", "its row as it was written last");
    inFile.rows.close();
    inFile.logs.close();
  });

  it("knows the last state of each object, whatever happened to its row before", () => {
    const links = relation("links");
    const row = { id: "1", uuid: "u1" };
    const write = (tag: "insert" | "update", values: Record<string, unknown>): PgMessage =>
      tag === "insert" ? { tag, relation: links, new: values } : { tag, relation: links, old: null, new: values };
    const remove: PgMessage = { tag: "delete", relation: links, old: { id: "1" } };
    const outcome = (...messages: PgMessage[]) => {
      const history = assemble([BEGIN, ...messages, END])?.rows.ofUuid("u1");
      return history && { isThere: history.last !== null, isNew: history.isNew };
    };
    assert.deepEqual(outcome(write("insert", row)), { isThere: true, isNew: true });
    assert.deepEqual(outcome(write("update", row)), { isThere: true, isNew: false });
    assert.deepEqual(outcome(write("insert", row), remove), { isThere: false, isNew: true });
    assert.deepEqual(outcome(write("update", row), remove), { isThere: false, isNew: false });
    assert.deepEqual(outcome(write("update", row), { tag: "truncate", relations: [links] }), {
      isThere: false,
      isNew: false,
    });
    assert.deepEqual(outcome(write("insert", row), write("update", { ...row, uuid: "u2" })), {
      isThere: false,
      isNew: true,
    });
    assert.deepEqual(outcome(remove, write("insert", { id: "2", uuid: "u1" })), { isThere: true, isNew: true });
    assert.deepEqual(
      outcome(write("insert", row), { tag: "update", relation: links, old: { id: "1" }, new: { id: "5", uuid: "u1" } }),
      { isThere: true, isNew: false },
    );
    assert.equal(outcome(remove), null);
  });
});
