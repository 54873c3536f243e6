import assert from "node:assert/strict";
import { type Consumer, type JetStreamClient, type JsMsg, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { readStoredRecords } from "../../../bridge/takeover/stored-records.ts";
import { startNats } from "../../support/servers/nats.ts";

type Fetch = (consumer: Consumer, options: object) => Promise<AsyncIterable<JsMsg> | Iterable<JsMsg>>;

/** The first consumer delivers what `fetch` returns. */
async function readBack(fetch: Fetch) {
  await using nats = await startNats();
  const nc = await nats.connect("bridge", "STORE");
  for (let i = 0; i < 5; i++) await jetstream(nc).publish(nats.subjects.moved("zzzzz-4zz18-000000000000000"), "{}");
  const real = jetstream(nc);
  let made = 0;
  const get = async (stream: string, name: string) => {
    const consumer = await real.consumers.get(stream, name);
    if (++made > 1) return consumer;
    return { fetch: (options: object) => fetch(consumer, options), delete: () => consumer.delete() };
  };
  const js = { consumers: { get } } as unknown as JetStreamClient;
  const { hasHole, lastSequence } = await readStoredRecords(js, await jetstreamManager(nc), nats.subjects, 0n);
  return { hasHole, lastSequence, made };
}

describe("what RECORDS holds, read back", () => {
  it("has no hole where a consumer ended with its server before it delivered all", async () => {
    const nothing: Fetch = async () => [];
    assert.deepEqual(await readBack(nothing), { hasHole: false, lastSequence: 5, made: 2 });
  });

  it("has no hole where a message was lost on its way", async () => {
    const withoutThird: Fetch = async (consumer, options) => lacking(await consumer.fetch(options), 3);
    assert.deepEqual(await readBack(withoutThird), { hasHole: false, lastSequence: 5, made: 2 });
  });
});

async function* lacking(messages: AsyncIterable<JsMsg>, sequence: number): AsyncIterable<JsMsg> {
  for await (const message of messages) if (message.seq !== sequence) yield message;
}
