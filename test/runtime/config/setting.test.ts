import assert from "node:assert/strict";
import { createAccount, createUser } from "@nats-io/nkeys";
import fc from "fast-check";
import {
  formatAddress,
  formatDuration,
  formatSetting,
  parseDuration,
  parseSetting,
  type Setting,
  urlOf,
} from "../../../runtime/config/setting.ts";

const common = { env: "X", file: "x", default: "", doc: "" };
const duration: Setting = { ...common, type: "duration", min: 100, max: 86_400_000 };
const address: Setting = { ...common, type: "address" };
const urls: Setting = { ...common, type: "urls", schemes: ["nats", "tls"] };
const url: Setting = { ...common, type: "url", schemes: ["nats", "tls"] };
const seed: Setting = { ...common, type: "seed", prefix: "SU", secret: true };

const parsed = (setting: Setting, raw: unknown) => {
  const result = parseSetting(setting, raw);
  return "value" in result ? result.value : result.wrong;
};

describe("a setting's value", () => {
  it("takes durations with a unit", () => {
    const examples = { "500ms": 500, "10s": 10_000, "5m": 300_000, "1h": 3_600_000, "1m30s": 90_000, "1.5s": 1_500 };
    for (const [text, ms] of Object.entries(examples)) assert.equal(parsed(duration, text), ms, text);
  });

  it("refuses durations without a unit, which are ambiguous", () => {
    for (const text of ["10", "10 s", "s", "-1s", "10x", "1e3s"]) {
      assert.match(String(parsed(duration, text)), /is not a duration such as/, text);
    }
  });

  it("takes two seeds while keys are being changed, and no more", () => {
    const [one, two, three] = [createUser(), createUser(), createUser()].map((pair) =>
      new TextDecoder().decode(pair.getSeed()),
    );
    assert.equal(parsed(seed, `${one} ${two}`), `${one} ${two}`);
    for (const text of [`${one} ${two} ${three}`, `${one} nonsense`, `${one},${two}`]) {
      assert.match(String(parsed(seed, text)), /is not an nkey seed/);
    }
  });

  it("names the bounds of a value that is outside them", () => {
    assert.equal(parsed(duration, "10ms"), "10ms is not between 100ms and 1d");
    assert.equal(
      parsed({ ...common, type: "integer", min: 1, max: 65535 }, "70000"),
      "70000 is not between 1 and 65535",
    );
  });

  it("reads back every duration and address that it writes", () => {
    fc.assert(fc.property(fc.integer({ min: 0, max: 1e10 }), (ms) => parseDuration(formatDuration(ms)) === ms));
    const host = fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6(), fc.constant(""));
    fc.assert(
      fc.property(host, fc.nat(65535), (name, port) => {
        assert.deepEqual(parsed(address, formatAddress({ host: name, port })), { host: name, port });
      }),
    );
  });

  it("takes :port for every interface, and IPv6 in brackets only", () => {
    assert.deepEqual(parsed(address, ":8470"), { host: "", port: 8470 });
    assert.deepEqual(parsed(address, "[::1]:8470"), { host: "::1", port: 8470 });
    for (const text of ["8470", "host", "::1:8470", "host:70000", "http://host:1"]) {
      assert.match(String(parsed(address, text)), /is not host:port/, text);
    }
  });

  it("gives a local address for one that means every interface", () => {
    assert.equal(urlOf("http", { host: "", port: 1 }), "http://127.0.0.1:1");
    assert.equal(urlOf("http", { host: "::1", port: 1 }), "http://[::1]:1");
  });

  it("reads one address of nats-server or several, of one scheme", () => {
    assert.equal(parsed(urls, "nats://a:4222/"), "nats://a:4222");
    assert.equal(
      parsed(urls, " nats://a:4222, nats://b:4222  nats://c:4222"),
      "nats://a:4222 nats://b:4222 nats://c:4222",
    );
    assert.equal(parsed(urls, "tls://a:4222 nats://b:4222"), "has addresses with different schemes");
    assert.match(String(parsed(urls, "nats://a:4222 http://b")), /"http:\/\/b" does not begin with/);
    assert.equal(parsed(urls, "nats://a nats://user:hunter22@b"), "must not carry a user or a password");
  });

  it("takes URLs of the right scheme and drops the slash at their end", () => {
    assert.equal(parsed(url, "nats://nats.example:4222/"), "nats://nats.example:4222");
    assert.match(String(parsed(url, "http://nats.example")), /does not begin with nats:\/\/… or tls:\/\/…/);
    assert.match(String(parsed(url, "nats.example:4222")), /does not begin|is not a URL/);
  });

  it("refuses a password in a URL without repeating it", () => {
    assert.equal(parsed(url, "nats://user:hunter22@nats.example"), "must not carry a user or a password");
  });

  it("takes only whole seeds of the right kind, and repeats none", () => {
    const text = (pair: { getSeed(): Uint8Array }) => new TextDecoder().decode(pair.getSeed());
    const good = text(createUser());
    assert.equal(parsed(seed, `${good}\n`), good);
    const typo = `${good.slice(0, 20)}${good[20] === "A" ? "B" : "A"}${good.slice(21)}`;
    for (const bad of [typo, good.slice(1), text(createAccount()), "SUhello"]) {
      const wrong = String(parsed(seed, bad));
      assert.match(wrong, /is not an nkey seed that begins with SU/);
      assert.ok(!wrong.includes(bad));
    }
  });

  it("reduces a v2 token to its secret where Arvados does", () => {
    const setting: Setting = { ...common, type: "tokenSecret", secret: true };
    assert.equal(parsed(setting, "v2/zzzzz-gj3su-anonymouspublic/thesecret"), "thesecret");
    assert.equal(parsed(setting, "thesecret"), "thesecret");
    assert.equal(parsed(setting, ""), "");
  });

  it("takes an empty value where a setting may be off, and refuses it elsewhere", () => {
    assert.equal(parsed({ ...url, default: null }, ""), null);
    assert.equal(parsed(url, null), "");
    assert.equal(parsed({ ...url, default: "nats://127.0.0.1" }, " "), "is empty");
  });

  it("refuses sections and lists", () => {
    assert.equal(parsed(url, { a: 1 }), "is a list or a section, not a single value");
    assert.equal(parsed(url, ["nats://a"]), "is a list or a section, not a single value");
  });

  it("prints what a user would have to write", () => {
    assert.equal(formatSetting(duration, 90_000), "90s");
    assert.equal(formatSetting(address, { host: "::1", port: 80 }), "[::1]:80");
    assert.equal(formatSetting(url, null), "");
  });
});
