import assert from "node:assert/strict";
import type { HandlingFailure } from "../../bridge/streams/handling-failure.ts";
import { clockFinding } from "../../cli/doctor/clock.ts";
import { contentFinding } from "../../cli/doctor/content.ts";
import { formatBytes, formatFindings, isBad, ok, problem } from "../../cli/doctor/finding.ts";
import { natsFindings } from "../../cli/doctor/streams.ts";

const FINDINGS = [ok("wal_level", "logical"), problem("bad", "slot a", "there is none", "make one")];

describe("findings of doctor", () => {
  it("are a line for each check, with the remedy below each that is not ok", () => {
    assert.equal(
      formatFindings(FINDINGS, { colours: false }),
      [
        "ok       wal_level  logical",
        "bad      slot a     there is none",
        "         → make one",
        "",
        "1 ok, 0 warn, 1 bad, 0 unknown",
      ].join("\n"),
    );
  });

  it("are coloured when asked for only", () => {
    const green = "\u001b[32mok     \u001b[0m  wal_level";
    assert.ok(formatFindings(FINDINGS, { colours: true }).startsWith(green));
  });

  it("are bad when one is bad, not when something could not be checked", () => {
    assert.equal(isBad(FINDINGS), true);
    assert.equal(isBad([ok("a", ""), problem("unknown", "b", "", ""), problem("warn", "c", "", "")]), false);
  });

  it("show bytes as a person reads them", () => {
    assert.deepEqual([0, 1023, 1024, 3.5 * 1024 ** 2, 250 * 1024 ** 3].map(formatBytes), [
      "0 B",
      "1023 B",
      "1.0 KiB",
      "3.5 MiB",
      "250 GiB",
    ]);
  });
});

describe("doctor, of a clock", () => {
  const state = (offset: number, uncertainty: number) =>
    clockFinding("it", { seen: { offset, uncertainty } }, 5_000).state;

  it("blames no clock for what the question itself took", () => {
    assert.equal(state(4_000, 3_500), "ok");
    assert.equal(state(4_000, 10), "warn");
  });

  it("is bad from the age on at which tails stop, ahead or behind", () => {
    assert.equal(state(4_900, 0), "warn");
    assert.equal(state(-5_100, 0), "bad");
  });
});

describe("doctor, of a nats-server's address and version", () => {
  const server = (version: string, url: string, advertised: string[] = []) =>
    natsFindings(
      [],
      {
        server: { version, url, isEncrypted: url.startsWith("tls:"), advertised },
        strict: { seen: true },
        streams: {},
        clock: { seen: { offset: 0, uncertainty: 0 } },
        trouble: { seen: null },
      },
      { profile: "single", staleness: 5_000 },
    )[0];

  it("accepts no server that lets clients skip the callout, or loses what it acknowledged", () => {
    const bypass = server("2.14.3", "nats://127.0.0.1:4222");
    assert.equal(bypass?.state, "bad");
    assert.match(bypass?.todo ?? "", /skip the auth callout, and can lose acknowledged messages/);
    for (const version of ["2.14.5", "2.15.1"]) {
      const lossy = server(version, "nats://127.0.0.1:4222");
      assert.equal(lossy?.state, "bad", version);
      assert.match(lossy?.todo ?? "", /older ones can lose acknowledged messages/);
    }
    assert.equal(server("2.14.6", "nats://127.0.0.1:4222")?.state, "ok");
  });

  it("finds a server bad that advertises the other servers to clients", () => {
    const url = "tls://nats.example.org:4222";
    assert.equal(server("2.15.2", url)?.state, "ok");
    const told = server("2.15.2", url, ["10.0.0.1:4222", "10.0.0.2:4222"]);
    assert.equal(told?.state, "bad");
    assert.match(told?.saw ?? "", /10\.0\.0\.1:4222, 10\.0\.0\.2:4222/);
    assert.match(told?.todo ?? "", /no_advertise: true/);
  });

  it("warns of a plain connection, unless it is to this host", () => {
    const plain = server("2.15.2", "nats://nats.example.org:4222");
    assert.equal(plain?.state, "warn");
    assert.match(plain?.todo ?? "", /tls:\/\//);
    for (const url of [
      "tls://nats.example.org:4222",
      "nats://localhost:4222",
      "nats://[::1]:4222 nats://127.0.0.1:1",
    ]) {
      assert.equal(server("2.15.2", url)?.state, "ok", url);
    }
  });
});

describe("doctor, of commits that the bridge failed at", () => {
  const commits = (trouble: HandlingFailure | null) => {
    const facts = {
      server: { version: "2.15.2", url: "tls://x:1", isEncrypted: true },
      strict: { seen: true },
      streams: {},
      clock: { seen: { offset: 0, uncertainty: 0 } },
      trouble: { seen: trouble },
    };
    return natsFindings([], facts, { profile: "single", staleness: 5_000 }).find(({ name }) => name === "commits");
  };

  it("names the last one, how often and why, and nothing of what it holds", () => {
    assert.equal(commits(null)?.state, "ok");
    const found = commits({ lsn: "16/B374D848", tries: 2, reason: "TypeError" });
    assert.equal(found?.state, "warn");
    assert.match(found?.saw ?? "", /failed 2 times at the one that ends at 16\/B374D848 \(TypeError\)/);
  });
});

describe("doctor, of rows that cannot be understood", () => {
  it("counts them by kind and names some, with what to do", () => {
    assert.equal(contentFinding({ seen: { odd: [{ what: "tokens", count: 0, examples: [] }] } }).state, "ok");
    const found = contentFinding({
      seen: { odd: [{ what: "tokens that end at no readable time", count: 4, examples: ["a", "b", "c"] }] },
    });
    assert.equal(found.state, "warn");
    assert.equal(found.saw, "4 tokens that end at no readable time (a, b, c, ...)");
  });
});
