import assert from "node:assert/strict";
import fc from "fast-check";
import { subjectsOf, subjectToken } from "../../core/subjects.ts";

/** What nats-server takes for one literal token. */
const LITERAL = /^[^\s.*>\p{Cc}]+$/u;

describe("subjects", () => {
  it("turn any text into exactly one literal subject token, and different texts into different ones", () => {
    const seen = new Map<string, string>();
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const token = subjectToken(text);
        assert.match(token, LITERAL);
        assert.ok(!/[@$]/.test(token), "no value can look like one of our own prefixes");
        const bytes = Buffer.from(text).toString("hex");
        assert.ok(!seen.has(token) || seen.get(token) === bytes);
        seen.set(token, bytes);
      }),
      { verbose: true },
    );
  });

  it("carry a log file's name as it is, and give it back", () => {
    const { log, parseLog } = subjectsOf("zzzzz");
    const container = "zzzzz-dz642-0123456789abcde";
    assert.equal(log(container, "stdout.txt"), `arvados.zzzzz.log.${container}.stdout.txt`);
    for (const file of ["stdout.txt", "a..b", ".hidden", "trailing.", "a b/c", "*", ">", "ü.txt", "%"]) {
      const subject = log(container, file);
      for (const token of subject.split(".")) assert.match(token, LITERAL, file);
      assert.deepEqual(parseLog(subject), { container, file });
    }
  });

  it("name a session's verbs and notices so that the services can tell whose they are", () => {
    const { api, parseApi, notice, parseNotice } = subjectsOf("zzzzz");
    const key = { sessionToken: "zzzzz-gj3su-0123456789abcde", sid: "abcdefghijklmnop" };
    assert.deepEqual(parseApi(api(key, "tail")), { key, verb: "tail" });
    assert.deepEqual(parseNotice(notice(key)), key);
  });

  it("carry the session key wherever something is private to a session", () => {
    const { api, notice, inbox } = subjectsOf("zzzzz");
    const key = { sessionToken: "zzzzz-gj3su-0123456789abcde", sid: "abcdefghijklmnop" };
    for (const subject of [api(key, "whoami"), notice(key), inbox(key)]) {
      assert.ok(subject.includes(`.${key.sessionToken}.${key.sid}`), subject);
    }
  });

  it("distinguish a reply subject of the session from every other one", () => {
    const { isReplyOf } = subjectsOf("zzzzz");
    const key = { sessionToken: "zzzzz-gj3su-0123456789abcde", sid: "abcdefghijklmnop" };
    const inbox = `_INBOX.${key.sessionToken}.${key.sid}`;
    for (const tail of ["a", "a.b", "a*", "*a.b", "$JS", "\u00e9"]) assert.ok(isReplyOf(key, `${inbox}.${tail}`), tail);
    const bad = ["", ".", "a.", ".a", "a..b", "*", ">", "a.*", "a.>", "a.>.b", "a b", "a\tb"];
    for (const tail of bad) assert.ok(!isReplyOf(key, `${inbox}.${tail}`), tail);
    for (const other of [inbox, `${inbox}x.a`, `${inbox.slice(0, -1)}.a`, "_INBOX.a", "arvados.zzzzz.live.a", ""])
      assert.ok(!isReplyOf(key, other), other);
  });
});
