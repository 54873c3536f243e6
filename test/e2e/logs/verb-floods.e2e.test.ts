/** Sessions that ask without end, or send what is large: what others wait meanwhile, and what becomes of the gateway and of those who do it. */
import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import type { NatsConnection } from "@nats-io/nats-core";
import { connect } from "@nats-io/transport-node";
import { connectOptions, sessionId, sessionKey } from "../../../client/mod.ts";
import { subjectsOf, type Verb } from "../../../core/subjects.ts";
import type { Notice } from "../../../core/wire/wire.ts";
import { until } from "../../../dev/testing/until.ts";
import { createLog } from "../../../runtime/log/log.ts";
import { startTestStack, type TestStack } from "../../support/worlds/stack.ts";

const subjects = subjectsOf("zzzzz");
/**
 * Of the other's 99th percentile: the same load in his own inbox, and as requests. Everything runs in this process, so that one
 * measurement out of few is a chance (bench/hostile/main.ts measures); without bounds it is thousands.
 */
const MORE = 1.5;
const HARMLESS_MS = 1_000;

async function session(stack: TestStack, token: string) {
  const sid = sessionId();
  const key = await sessionKey(token, sid);
  const nc = await connect({ servers: stack.nats.url, ...(await connectOptions(token, sid)), reconnect: false });
  const notices: string[] = [];
  nc.subscribe(subjects.notice(key), { callback: (_error, msg) => void notices.push(msg.json<Notice>().notice) });
  await nc.flush();
  const answers = new Map<string, number>();
  const inbox = `${subjects.inboxPrefix(key)}.flood`;
  nc.subscribe(inbox, {
    callback(_error, { headers }) {
      const code = headers?.get("Nats-Service-Error") ?? "";
      answers.set(code, (answers.get(code) ?? 0) + 1);
    },
  });
  const api = (verb: Verb) => subjects.api(key, verb);
  const whoami = () => nc.request(api("whoami"), "", { timeout: 5_000 });
  return { nc, notices, answers, inbox, api, whoami };
}

/** The 99th percentile of another session's `whoami` while something happens. */
async function p99(other: { whoami(): Promise<unknown> }, meanwhile: () => Promise<void>): Promise<number> {
  let going = true;
  const times: number[] = [];
  const asking = (async () => {
    while (going) {
      const begun = performance.now();
      await other.whoami();
      times.push(performance.now() - begun);
      await delay(22);
    }
  })();
  await meanwhile();
  await delay(500);
  going = false;
  await asking;
  times.sort((a, b) => a - b);
  return times[Math.floor(times.length * 0.99)] as number;
}

describe("a session that asks too much", () => {
  let stack: TestStack;
  const lines: string[] = [];
  before(async () => {
    const log = createLog({ level: "info", format: "json", sink: { write: (line) => lines.push(line) } });
    stack = await startTestStack({ log });
  });
  after(() => stack?.[Symbol.asyncDispose]());

  const alice = () => session(stack, stack.cluster.users.alice.token.v2);
  const bob = () =>
    until(() => session(stack, stack.cluster.users.bob.token.v2).catch(() => null), "bob's pause to end");
  const send = async (nc: NatsConnection, count: number, one: () => void, batch = 500) => {
    // A flush that was asked for when the connection closed never ends.
    const flush = () => Promise.race([nc.closed(), nc.flush().catch(() => undefined)]);
    for (let i = 0; i < count && !nc.isClosed(); i++) {
      one();
      if (i % batch === batch - 1) await flush();
    }
    await flush();
  };
  const lostConnections = () => lines.filter((line) => /disconnected from nats-server|slow consumer/i.test(line));

  for (const [what, count, body] of [
    ["40,000 times", 40_000, ""],
    ["with 600 bodies of 128 kB", 600, "x".repeat(128 * 1024 - 512)],
  ] as const) {
    it(`${what} gets a notice and is cut; others wait no longer than for as many messages in his own inbox`, async () => {
      // They are written by the process that reads them: not so many at once that it cannot read.
      const batch = body === "" ? 500 : 20;
      const [other, control] = [await alice(), await bob()];
      const quiet = await p99(other, () =>
        send(control.nc, count, () => control.nc.publish(control.inbox, body), batch),
      );
      await control.nc.close();
      const flooder = await bob();
      const from = lines.length;
      const { nc, api, inbox: reply } = flooder;
      const loud = await p99(other, () => send(nc, count, () => nc.publish(api("whoami"), body, { reply }), batch));
      await until(() => nc.isClosed(), "the flooder to be cut");
      assert.ok(flooder.notices.includes("flooding"), String(flooder.notices));
      assert.ok((flooder.answers.get(body === "" ? "limit.reached" : "verb.body") ?? 0) > 0);
      assert.ok(!other.nc.isClosed());
      assert.deepEqual(lostConnections(), [], "the gateway's connection stays");
      const said = lines.length - from;
      assert.ok(said < 20, `${said} lines in the log`);
      assert.ok(
        loud <= MORE * quiet + HARMLESS_MS,
        `${loud.toFixed(1)} ms, and ${quiet.toFixed(1)} ms for his own inbox`,
      );
      await other.nc.close();
    });
  }

  it("with 80 messages of 0.8 MB is ended by nats-server, which takes no more from a user than a log's message", async () => {
    const [other, flooder] = [await alice(), await bob()];
    const { info } = flooder.nc;
    assert.equal(info?.max_payload, 131_072);
    if (info) info.max_payload = 1_048_576;
    const body = new Uint8Array(800_000);
    await p99(other, () => send(flooder.nc, 80, () => flooder.nc.publish(flooder.api("tail"), body)));
    assert.ok(flooder.nc.isClosed());
    assert.deepEqual(lostConnections(), []);
    await other.nc.close();
  });

  it("with what fails is answered, and makes one line in the log, not one for each", async () => {
    const flooder = await bob();
    const from = lines.length;
    for (let i = 0; i < 20; i++) {
      flooder.nc.publish(flooder.api("whoami"), "{", { reply: `${flooder.inbox.replace(/flood$/, "")}x.` });
      flooder.nc.publish(flooder.api("tail"), "{");
    }
    flooder.nc.publish(flooder.api("whoami"), "y".repeat(5_000), { reply: flooder.inbox });
    await until(() => flooder.answers.has("verb.body"), "an answer");
    assert.ok(lines.length - from <= 3, lines.slice(from).join(""));
    await flooder.nc.close();
  });
});
