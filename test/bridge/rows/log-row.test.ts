import assert from "node:assert/strict";
import fc from "fast-check";
import { innerMembersOf, isNoDeeperThan } from "../../../bridge/rows/json-members.ts";
import { logRow } from "../../../bridge/rows/log-row.ts";

const OBJECT = "zzzzz-4zz18-collectionccccc";
const AT = "2026-11-25 01:02:03.456789";
const row = (event_type: string, properties: string) => ({
  object_uuid: OBJECT,
  event_type,
  event_at: AT,
  properties: Buffer.from(properties),
});
const whole = (text: Buffer) => ({ start: 0, end: text.length });

/** The members of an object, which stands as a member of another one; their places in `text`. */
function membersOf(text: Buffer, names: ReadonlySet<string>) {
  const before = '{"other":[],"it":';
  const found = innerMembersOf(Buffer.from(`${before}${text.toString()},"more":{}}`), new Set(["it"]), names);
  const places = [...(found?.get("it") ?? [])].map(
    ([name, { start, end }]) => [name, { start: start - before.length, end: end - before.length }] as const,
  );
  return found?.get("it") ? new Map(places) : null;
}

describe("members of JSON text", () => {
  it("are those that JSON.parse finds, in any valid text", () => {
    const names = ["a", "old_attributes", 'q"uote\\', "é\u0000\ud83d\ude00"];
    const value = fc.json({ maxDepth: 5 }).map((text) => JSON.parse(text) as unknown);
    const object = fc.dictionary(fc.oneof(fc.constantFrom(...names), fc.string()), value);
    fc.assert(
      fc.property(object, fc.constantFrom(undefined, 1, "\t"), (it, space) => {
        const text = Buffer.from(JSON.stringify(it, null, space));
        const parsed = JSON.parse(text.toString()) as Record<string, unknown>;
        const found = membersOf(text, new Set(names));
        assert.ok(found);
        for (const name of names) {
          const span = found.get(name);
          const has = Object.hasOwn(parsed, name);
          assert.equal(span !== undefined, has);
          if (span) assert.deepEqual(JSON.parse(text.toString("utf8", span.start, span.end)), parsed[name]);
        }
      }),
    );
  });

  it("with the same name are the last one, as in JSON.parse, also where the name is escaped", () => {
    const text = Buffer.from('{"a":1,"\\u0061":2}');
    const span = membersOf(text, new Set(["a"]))?.get("a");
    assert.equal(text.toString("utf8", span?.start, span?.end), "2");
  });

  it("are not found in a text that is no object, or is cut off", () => {
    for (const text of [
      "",
      " ",
      "[]",
      '"{}"',
      "1",
      "null",
      "---\na: 1\n",
      '{"a":1}x',
      '{"a":1,}',
      "{,}",
      '{"a"}',
      "{1:2}",
      '{"a":}',
    ]) {
      const bytes = Buffer.from(text);
      assert.equal(membersOf(bytes, new Set(["a"])), null, text);
    }
    const text = Buffer.from('{"a":{"b":[1,"x\\"}"]},"c":"d"}');
    for (let end = 0; end < text.length; end++) assert.equal(membersOf(text.subarray(0, end), new Set(["a"])), null);
  });

  it("of the object around them are none if that is no object, or is cut off", () => {
    const text = Buffer.from('{"it":{"a":1},"x":2}');
    assert.equal(innerMembersOf(text, new Set(["it"]), new Set(["a"]))?.get("it")?.size, 1);
    for (let end = 0; end < text.length; end++) {
      assert.equal(innerMembersOf(text.subarray(0, end), new Set(["it"]), new Set(["a"])), null);
    }
    for (const other of ["[]", '"it"', "1", ""]) {
      assert.equal(innerMembersOf(Buffer.from(other), new Set(["it"]), new Set(["a"])), null);
    }
  });

  it("are found behind strings of any length, with any backslashes", () => {
    for (let length = 0; length < 300; length++) {
      for (const ending of ["", String.raw`\\`, String.raw`\"`, String.raw`\\\\`]) {
        const text = Buffer.from(`{"x":"${"y".repeat(length)}${ending}","a":1}`);
        assert.equal(membersOf(text, new Set(["a"]))?.size, 1, text.toString());
      }
    }
  });

  it("are counted in depth without those inside strings", () => {
    const text = Buffer.from('{"a":[{"b":"[[[[{{{{\\"[["}]}');
    assert.equal(isNoDeeperThan(text, 3, whole(text)), true);
    assert.equal(isNoDeeperThan(text, 2, whole(text)), false);
  });
});

describe("a log row", () => {
  it("of any depth is read without overflowing the stack", () => {
    const deep = `${"[".repeat(1_000_000)}${"]".repeat(1_000_000)}`;
    const log = logRow(
      row("update", `{"x":${deep},"new_attributes":{"name":"n","x":${deep}},"old_attributes":${deep}}`),
    );
    assert.equal(log?.new, '{"name":"n"}');
    assert.equal(log?.old, null);
    assert.equal(logRow(row("my_event", `{"x":${deep}}`))?.properties, null);
    assert.equal(logRow(row("my_event", `{"x":${"[".repeat(100)}${"]".repeat(100)}}`))?.properties, null);
  });

  it("of 20 MB of small values creates none of them", () => {
    const values = Buffer.from(`{"new_attributes":{"properties":[${'1,"a",{},'.repeat(2_200_000)}0],"name":"n"}}`);
    const before = process.memoryUsage();
    const log = logRow({ object_uuid: OBJECT, event_type: "update", event_at: AT, properties: values });
    const after = process.memoryUsage();
    assert.equal(log?.new, '{"name":"n"}');
    const grown = after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers;
    assert.ok(grown < 16e6, `${grown} bytes more`);
  });

  it("keeps only short plain values", () => {
    const attributes = {
      uuid: OBJECT,
      name: "\u0000\ud800".repeat(500),
      state: { a: 1 },
      owner_uuid: ["x"],
      is_trashed: true,
      id: Number.POSITIVE_INFINITY,
      modified_at: "x".repeat(1_025),
      head_uuid: "x".repeat(1_024),
      __proto__: { tail_uuid: "x" },
    };
    const log = logRow(row("update", JSON.stringify({ new_attributes: attributes })));
    assert.deepEqual(JSON.parse(log?.new ?? ""), {
      id: null,
      uuid: OBJECT,
      name: attributes.name,
      is_trashed: true,
      head_uuid: attributes.head_uuid,
    });
  });

  it("with one invalid value lacks that value", () => {
    assert.equal(logRow(row("update", '{"new_attributes":{"name":nonsense,"uuid":"u","id":01}}'))?.new, '{"uuid":"u"}');
  });
});
