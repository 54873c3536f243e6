import assert from "node:assert/strict";
import { createUser } from "@nats-io/nkeys";
import { fault } from "../../../core/errors.ts";
import { createLog, type LogOptions } from "../../../runtime/log/log.ts";
import { prettyLine } from "../../../runtime/log/pretty.ts";
import { redactFields, secretFilter } from "../../../runtime/log/secrets.ts";

const TOKEN_UUID = "zzzzz-gj3su-077z32aux8dg2s1";
const SECRET = "3kg6k6lzmp9kj5cpkcoxie963cmvjahbt2fod9zru30k1jqdmi";

function logged(options: LogOptions = {}) {
  const lines: string[] = [];
  const log = createLog({ format: "json", ...options, sink: { write: (line) => lines.push(line) } });
  return { log, lines, last: () => JSON.parse(lines.at(-1) ?? "") as Record<string, unknown> };
}

describe("the log", () => {
  it("writes an event with its fields, level and component", () => {
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

  it("prints no secret, whatever field or text contains it", () => {
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

describe("a log line, where the password is a word", () => {
  it("keeps words of our own, and hides the password in text of others", () => {
    const { log, lines } = logged({ secrets: ["dragon"], publicValues: ["records_db"] });
    log.info({ database: "records_db", reason: "no pg_hba.conf entry for dragon" }, "the dragon leads");
    const shown = JSON.parse(lines[0] ?? "");
    assert.deepEqual(
      [shown.database, shown.reason, shown.msg],
      ["records_db", "no pg_hba.conf entry for ***", "the dragon leads"],
    );
  });

  it("is still JSON with its fields, whatever the password is", () => {
    for (const password of ["info", "level", "reason", "component", '","msg":"', "12345678", "a\\b"]) {
      const { log, last } = logged({ secrets: [password] });
      log.child({ component: "bridge" }).info({ reason: "x", sequence: 12345678 }, "published");
      const { time, ...fields } = last();
      assert.deepEqual(fields, {
        level: "info",
        component: "bridge",
        reason: "x",
        sequence: 12345678,
        msg: "published",
      });
      assert.ok(time);
    }
  });

  it("is cut where another's text is as long as it likes", () => {
    const { log, lines } = logged();
    log.warn({ reason: "x ".repeat(1_000_000) }, "refused");
    assert.ok((lines[0]?.length ?? 0) < 10_000);
  });
});

describe("redactFields", () => {
  it("keeps what the product calls a token in public", () => {
    const fields = { token: TOKEN_UUID, key: { sessionToken: `h${"a2".repeat(13)}`, sid: "_" } };
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
  const JWT = "eyJ0eXAiOiJKV1QiLCJhbGciOiJlZDI1NTE5LW5rZXkifQ.eyJqdGkiOiJYWFhYWFhYIn0.c2lnbmF0dXJl";
  const SEED = new TextDecoder().decode(createUser().getSeed());
  const PASSWORDS = ["arvados", "pa/ss@w:rd", 'pass"word', "it's", "hunter22", "postgres", "100%sure"];

  // As it stands in JSON and in no other text: else the quote might as well end the URL.
  const UNQUOTED = PASSWORDS.filter((one) => !/["']/.test(one));

  describe("hides values at the places of secrets, also unknown ones", () => {
    const rows: [what: string, text: (secret: string) => string, secrets?: string[]][] = [
      [
        "a connection string",
        (it) => `connect postgres://arvados:${it}@db.example/arvados_production failed`,
        UNQUOTED,
      ],
      ["a connection string without a user", (it) => `nats://:${it}@nats.example:4222`, UNQUOTED],
      [
        "conninfo of libpq",
        (it) => `invalid: host=db password='${it}' dbname=x`,
        PASSWORDS.filter((one) => one !== "it's"),
      ],
      ["conninfo without quotes", (it) => `host=db password=${it} dbname=x`, ["arvados", "hunter22", "pa/ss@w:rd"]],
      ["an environment variable", (it) => `PGPASSWORD=${it} psql`, ["arvados", "hunter22"]],
      ["a token in a query", (it) => `GET /websocket?x=1&api_token=${it}&y=2`, ["arvados", SECRET, "hunter22"]],
      ["another token in a query", (it) => `https://x/cb?access_token=${it}#f`, ["arvados", SECRET]],
      ["a Bearer header", (it) => `curl -H 'Authorization: Bearer ${it}'`, ["arvados", SECRET]],
      ["an OAuth2 header", (it) => `authorization: OAuth2 ${it}`, ["arvados", SECRET]],
      ["a Basic header", (it) => `sent Basic ${Buffer.from(`arvados:${it}`).toString("base64")}`, ["hunter22"]],
      ["a cookie", (it) => `Set-Cookie: session=${it}; Path=/`, ["arvados", "hunter22"]],
      ["JSON", (it) => JSON.stringify({ user: "arvados", password: it })],
      ["JSON in JSON", (it) => JSON.stringify({ body: JSON.stringify({ auth_token: it }) })],
      ["a CONNECT", (it) => `CONNECT ${JSON.stringify({ user: "x", pass: it, verbose: false })}`],
      ["a printed object", (it) => `{ host: 'db', password: '${it}' }`, PASSWORDS.filter((one) => one !== "it's")],
      ["a sentence of a driver", (it) => `the password "${it}" is too short`, ["arvados", "hunter22"]],
      ["a v2 token", (it) => `bad v2/${TOKEN_UUID}/${it}`, ["arvados", SECRET, "a.b_c-d~e+f="]],
      ["a v2 token in a URL", (it) => `?t=v2%2F${TOKEN_UUID}%2F${encodeURIComponent(it)}`, ["arvados", SECRET, "a=b"]],
      ["a bare token", (it) => `whoever has ${it} is in`, [SECRET]],
      ["a seed", (it) => `seed ${it}`, [SEED]],
      ["a JWT", (it) => `jwt ${it} refused`, [JWT]],
      [
        "a private key",
        (it) => `-----BEGIN PRIVATE KEY-----\n${it}\n-----END PRIVATE KEY-----`,
        ["MIGHAgEAMBMGByqGSM49"],
      ],
    ];
    for (const [what, text, secrets = PASSWORDS] of rows) {
      it(what, () => {
        for (const secret of secrets) {
          // In front of what is public there may be the same word: only the place of the secret is compared.
          const marked = text(secret);
          if (secret.length > 20) {
            assert.ok(!secretFilter()(marked).includes(secret), secretFilter()(marked));
            continue;
          }
          const shown = secretFilter()(marked);
          const hidden = secretFilter()(text(`${secret}X9`));
          assert.notEqual(shown, marked, secret);
          assert.equal(shown, hidden, `the same is shown of every secret: ${shown}`);
          const line = JSON.stringify({ reason: text(secret) });
          assert.equal(secretFilter()(line), secretFilter()(JSON.stringify({ reason: text(`${secret}X9`) })), line);
        }
      });
    }
  });

  it("hides no word of our own, though it is a password: blanks would reveal it", () => {
    const texts = [
      "arvados-nats bridge: the Arvados API at https://arvados.example does not answer",
      'password authentication failed for user "arvados"',
      "PostgreSQL has no database arvados_production on localhost",
      "live.> of arvados.zzzzz in GRAPH, session cut, revision 1.5",
      "Secret arvados-nats-keys",
    ];
    const publicValues = ["arvados_production", "localhost", "zzzzz"];
    for (const password of ["arvados", "arvados-nats", "arvados_production", "bridge", "localhost"]) {
      const hide = secretFilter([password], { publicValues });
      for (const text of texts) assert.equal(hide(text), text, password);
      assert.equal(hide(`postgres://u:${password}@db`), "postgres://***@db");
      assert.equal(hide(`password ${password}`), "password ***");
      assert.equal(hide(`the token is: password=${password}, or not`), "the token is: password=***, or not");
    }
  });

  it("hides any other known value wherever it is a word of its own, also in JSON and in URLs", () => {
    const hide = secretFilter(["topsecret", "tr0ub4dor&3", "pa ss/word"]);
    const shown = hide('it was topsecret, "tr0ub4dor&3" and ?q=pa%20ss%2Fword\\ntopsecret but no topsecrets');
    assert.equal(shown, 'it was ***, "***" and ?q=***\\n*** but no topsecrets');
  });

  it("takes no longer for a hostile text than for another one", () => {
    const hide = secretFilter(["topsecret", "arvados"]);
    const size = 60_000;
    for (const part of ["a-", "a+", "eyJ-", "x://x:", 'pass:"', "pass=", "password ", "v2/", "\\", 'token:\\"', "0a"]) {
      const begun = performance.now();
      hide(part.repeat(size / part.length));
      assert.ok(performance.now() - begun < 2_000, `${part}: ${Math.round(performance.now() - begun)} ms`);
    }
  });

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

  it("leaves a line that is no JSON as it is", () => {
    assert.equal(prettyLine("plain text\n", plain), "plain text");
  });
});
