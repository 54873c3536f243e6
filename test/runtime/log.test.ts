import assert from "node:assert/strict";
import { createUser } from "@nats-io/nkeys";
import { fault } from "../../core/errors.ts";
import { createLog, type LogOptions } from "../../runtime/log.ts";
import { prettyLine } from "../../runtime/log-pretty.ts";
import { redactFields, secretFilter } from "../../runtime/log-secrets.ts";

const TOKEN_UUID = "zzzzz-gj3su-077z32aux8dg2s1";
const SECRET = "3kg6k6lzmp9kj5cpkcoxie963cmvjahbt2fod9zru30k1jqdmi";

function logged(options: LogOptions = {}) {
  const lines: string[] = [];
  const log = createLog({ format: "json", ...options, sink: { write: (line) => lines.push(line) } });
  return { log, lines, last: () => JSON.parse(lines.at(-1) ?? "") as Record<string, unknown> };
}

describe("the log", () => {
  it("writes an event with its fields, level and component in words", () => {
    const { log, last } = logged();
    log.child({ component: "bridge" }).info({ lsn: "0/16B3748", events: 3 }, "commit published");
    const { time, ...fields } = last();
    assert.deepEqual(fields, {
      level: "info",
      component: "bridge",
      lsn: "0/16B3748",
      events: 3,
      msg: "commit published",
    });
    assert.match(String(time), /^\d{4}-\d\d-\d\dT.*Z$/);
  });

  it("leaves out what is less severe than its level", () => {
    const { log, lines } = logged({ level: "warn" });
    log.info("quiet");
    log.warn("loud");
    assert.equal(lines.length, 1);
  });

  it("writes an error's causes", () => {
    const { log, lines } = logged();
    log.error({
      err: fault("nats.unreachable", { url: "nats://x", reason: "y" }, { cause: new Error("ECONNREFUSED") }),
    });
    assert.match(lines.join(""), /nats-server at nats:\/\/x does not answer/);
    assert.match(lines.join(""), /ECONNREFUSED/);
    assert.match(lines.join(""), /"code":"nats.unreachable"/);
  });

  it("prints no secret, whatever field or text it stands in", () => {
    const seed = new TextDecoder().decode(createUser().getSeed());
    const jwt = "eyJ0eXAiOiJKV1QiLCJhbGciOiJlZDI1NTE5LW5rZXkifQ.eyJqdGkiOiJYWFhYWFhYIn0.c2lnbmF0dXJl";
    const withSecret = Object.assign(new Error(`bad token v2/${TOKEN_UUID}/${SECRET}`), { password: "hunter22" });
    for (const format of ["json", "pretty"] as const) {
      const { log, lines } = logged({ format, secrets: ['pass"word', SECRET] });
      log.info({ token: SECRET, request: { headers: { authorization: `Bearer ${SECRET}` } } }, "request");
      log.info({ connect: { opts: { auth_token: "hunter22", pass: "hunter22" } }, jwt: "hunter22", seed: "hunter22" });
      log.info(`GET /websocket?api_token=hunter22 and Authorization: OAuth2 hunter22`);
      log.info({ reason: `nats://user:hunter22@nats.example and ${seed} and ${jwt}` }, 'the database said pass"word');
      log.warn({ err: withSecret }, "refused");
      log.error({ error: withSecret }, "refused");
      log.child({ component: "x", url: `https://x/?api_token=hunter22` }).info("child");
      const text = lines.join("");
      assert.equal(text.match(/refused/g)?.length, 2);
      for (const secret of [SECRET, "hunter22", seed, jwt, 'pass"word', 'pass\\"word']) {
        assert.ok(!text.includes(secret), `${format}: ${secret} in ${text}`);
      }
      assert.ok(text.includes(TOKEN_UUID), "the token's uuid is public and tells which one it was");
    }
  });
});

describe("redactFields", () => {
  it("keeps what the product calls a token in public", () => {
    const fields = { token: TOKEN_UUID, key: { token: `h${"a2".repeat(13)}`, sid: "_" } };
    assert.equal(redactFields(fields), fields);
  });

  it("changes no object of the caller", () => {
    const fields = { list: [{ password: "x" }], user: "alice" };
    assert.deepEqual(redactFields(fields), { list: [{ password: "***" }], user: "alice" });
    assert.deepEqual(fields, { list: [{ password: "x" }], user: "alice" });
  });

  it("survives objects that contain themselves", () => {
    const circle: Record<string, unknown> = { token: "x" };
    circle.self = circle;
    assert.equal(redactFields(circle).token, "***");
  });
});

describe("secretFilter", () => {
  it("leaves ordinary text alone", () => {
    const text = "SUCCESS v2/stream nats://127.0.0.1:4222 user@example.org SUMMARY eyJust";
    assert.equal(secretFilter([""])(text), text);
  });
});

describe("a log line for people", () => {
  const plain = { colours: false };
  const time = "2026-11-25T02:03:04.005Z";

  it("is time, level, component, message, fields", () => {
    const json = JSON.stringify({
      level: "info",
      time,
      component: "bridge",
      lsn: "0/1",
      what: "two words",
      msg: "leading",
    });
    assert.match(prettyLine(json, plain), /^\d\d:\d\d:04\.005 INFO {2}bridge: leading {2}lsn=0\/1 what="two words"$/);
  });

  it("shows the stack of an error, and of a warning the sentence only", () => {
    const err = { type: "Error", message: "broke", stack: "Error: broke\n    at x.ts:1" };
    assert.match(prettyLine(JSON.stringify({ level: "error", time, msg: "m", err }), plain), /at x\.ts:1$/);
    assert.match(prettyLine(JSON.stringify({ level: "warn", time, msg: "m", err }), plain), /m\n {4}broke$/);
  });

  it("has colours only where asked", () => {
    const json = JSON.stringify({ level: "error", time, msg: "m" });
    assert.ok(!prettyLine(json, plain).includes("\u001b"));
    assert.ok(prettyLine(json, { colours: true }).includes("\u001b[31m"));
  });

  it("passes on what is no JSON", () => {
    assert.equal(prettyLine("plain text\n", plain), "plain text");
  });
});
