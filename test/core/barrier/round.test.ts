import assert from "node:assert/strict";
import { barrierSubject, formatBarrierEntry, parseBarrierEntry } from "../../../core/barrier/entry.ts";
import { beginRound, gone, isEnforced, kicked, listed } from "../../../core/barrier/round.ts";
import { subjectsOf } from "../../../core/subjects.ts";

describe("a round of cutting", () => {
  const begun = beginRound(3, ["s1", "s2"]);

  it("is enforced once every server is listed and every kick confirmed", () => {
    const half = listed(listed(begun, "s1", []), "s2", [7, 8]);
    assert.ok(!isEnforced(half));
    assert.ok(!isEnforced(kicked(half, "s2", 7)));
    assert.ok(isEnforced(kicked(kicked(half, "s2", 7), "s2", 8)));
  });

  it("waits for a silent server until it is known to be gone", () => {
    const held = listed(begun, "s1", []);
    assert.ok(!isEnforced(held));
    assert.ok(isEnforced(gone(held, "s2")));
  });

  it("ignores answers to what it did not ask", () => {
    assert.deepEqual(kicked(begun, "s1", 7), begun);
    assert.deepEqual(listed(begun, "s9", []), begun);
    const kicking = listed(begun, "s1", [7]);
    assert.deepEqual(listed(kicking, "s1", []), kicking, "a second listing does not forget the first");
    assert.deepEqual(kicked(kicking, "s1", 9), kicking);
  });

  it("is enforced if there are no servers", () => {
    assert.ok(isEnforced(beginRound(3, [])));
  });
});

describe("barrier entries", () => {
  const subjects = subjectsOf("zzzzz");

  it("are read as they were written", () => {
    for (const entry of [
      { kind: "lease", replica: "host-1", since: 4, sent: 12.5, fit: true, left: false },
      { kind: "lease", replica: "host-1", since: null, sent: 0, fit: false, left: true },
      { kind: "mark", revision: { epoch: 2, sequence: 9 } },
      { kind: "settled", replica: "host-1", mark: 5 },
      { kind: "cut", mark: 5 },
      { kind: "server", name: "n1.example", id: "NABC" },
      { kind: "server", name: "n1.example", id: null },
      { kind: "alias", session: "habc", token: "zzzzz-gj3su-000000000000001" },
    ] as const) {
      assert.deepEqual(parseBarrierEntry(formatBarrierEntry(entry)), entry);
      assert.match(barrierSubject(subjects, entry), /^arvados\.zzzzz\.barrier\.[a-z]+(\.[^.*> ]+)?$/);
    }
  });

  it("reduce a voucher's scopes, which another version may have written in full", () => {
    const token = "zzzzz-gj3su-000000000000001";
    const object = (n: number) => `GET /arvados/v1/collections/zzzzz-4zz18-${String(n).padStart(15, "0")}`;
    const voucherOf = (scopes: string[]) => {
      const voucher = { token, user: "zzzzz-tpzed-000000000000001", scopes, until: 9 };
      const entry = parseBarrierEntry(JSON.stringify({ kind: "alias", session: "habc", token, voucher }));
      return entry?.kind === "alias" ? entry.voucher : null;
    };
    assert.deepEqual(voucherOf(["POST /x", object(1), object(1)])?.scopes, [object(1)]);
    assert.deepEqual(voucherOf(Array.from({ length: 9_000 }, (_, n) => object(n)))?.scopes_over, true);
  });

  it("reject every other text", () => {
    for (const text of [
      "",
      "{}",
      "null",
      "1",
      '{"kind":"cut"}',
      '{"kind":"mark","revision":"x"}',
      '{"kind":"settled","mark":1}',
    ]) {
      assert.equal(parseBarrierEntry(text), null, text);
    }
  });
});
