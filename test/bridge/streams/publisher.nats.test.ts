/** Fenced, whole, in order: against a real stream. */
import assert from "node:assert/strict";
import { jetstreamManager } from "@nats-io/jetstream";
import { FencedPublisher, type Message, type PublisherOptions } from "../../../bridge/streams/publisher.ts";
import { Fault } from "../../../core/errors.ts";
import type { MovedEntry } from "../../../core/wire/wire.ts";
import { until } from "../../../dev/testing/until.ts";
import { messageCount, startNats, type TestNats } from "../../support/servers/nats.ts";
import { NO_FENCE } from "../../support/worlds/bridge-guards.ts";

const subject = (name: string) => `arvados.zzzzz.rec.${name}`;
const message = (name: string, body: Message["body"] = "{}"): Message => ({
  subject: subject(name),
  headers: {},
  body,
});

describe("a fenced publisher", () => {
  let nats: TestNats;
  const failures: Fault[] = [];

  beforeEach(async () => {
    nats = await startNats();
    failures.length = 0;
  });
  afterEach(() => nats[Symbol.asyncDispose]());

  async function open(options: Partial<PublisherOptions> = {}) {
    const nc = await nats.connect("bridge", "STORE");
    const { state } = await (await jetstreamManager(nc)).streams.info("RECORDS");
    const publisher = new FencedPublisher({
      nc,
      stream: "RECORDS",
      lastSequence: state.last_seq,
      inboxPrefix: "_INBOX.bridge",
      now: Date.now,
      onFailed: (fault) => failures.push(fault),
      ...options,
    });
    return { nc, publisher };
  }

  it("keeps the order of singles and units, and knows each message's sequence", async () => {
    const { nc, publisher } = await open();
    const stored: number[] = [];
    for (let i = 0; i < 300; i++) {
      const size = i % 3 === 0 ? 5 : 1;
      const unit = Array.from({ length: size }, () => message(`a${i}`, { left: "a", before: 0 }));
      publisher.push(unit, () => stored.push(i));
    }
    await publisher.acknowledged();
    assert.deepEqual(stored, [...Array(300).keys()]);
    const jsm = await jetstreamManager(nc);
    assert.equal(await messageCount(nc, "RECORDS"), publisher.storedSequence);
    for (const seq of [1, 6, 7, 8, 699, 700]) {
      const found = await jsm.streams.getMessage("RECORDS", { seq });
      assert.equal(found?.json<MovedEntry>().from?.sequence, seq);
    }
    publisher.close();
  });

  it("lets units share a batch under load, and splits none", async () => {
    const batches: number[] = [];
    const onSent = (messages: number, isBatch: boolean) => {
      if (isBatch) batches.push(messages);
    };
    const { publisher } = await open({ onSent });
    for (let i = 0; i < 400; i++) publisher.push(Array.from({ length: 7 }, () => message(`b${i}`)));
    await publisher.acknowledged();
    assert.ok(batches.length < 20, `${batches.length} batches`);
    assert.ok(batches.every((size) => size % 7 === 0 && size <= 1_000));
    publisher.close();
  });

  for (const [what, unit] of Object.entries({
    "a single message": [message("x")],
    "a batch": [message("x"), message("y")],
  })) {
    it(`refuses ${what} of an older leader`, async () => {
      const old = await open();
      const next = await open();
      next.publisher.push([message("new")]);
      await next.publisher.acknowledged();
      old.publisher.push(unit);
      await until(() => failures.length > 0, "the old one to fail");
      assert.equal(failures[0]?.code, "stream.fenced");
      await assert.rejects(old.publisher.acknowledged(), Fault);
      assert.equal(await messageCount(next.nc, "RECORDS"), 1);
      old.publisher.close();
      next.publisher.close();
    });

    it(`without its fence would store ${what} of an older leader`, async () => {
      const old = await open({ fence: NO_FENCE });
      const next = await open();
      next.publisher.push([message("new")]);
      await next.publisher.acknowledged();
      old.publisher.push(unit);
      await old.publisher.acknowledged();
      assert.equal(await messageCount(next.nc, "RECORDS"), 1 + unit.length);
      old.publisher.close();
      next.publisher.close();
    });
  }

  it("stores nothing after a refused message", async () => {
    const { nc, publisher } = await open();
    publisher.push([{ ...message("big"), body: "x".repeat(1024 * 1024 - 1_000) }]);
    publisher.push([{ ...message("bad"), headers: { "Nats-Rollup": "all" } }]);
    publisher.push([message("later")]);
    publisher.push([message("later"), message("still")]);
    await until(() => failures.length > 0, "the refusal");
    assert.equal(failures[0]?.code, "stream.refused");
    await nc.flush();
    assert.equal(await messageCount(nc, "RECORDS"), 1);
    publisher.close();
  });
});
