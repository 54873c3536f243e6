/** Replies that nobody can be answered on: users may name any text where they publish, as often as they like, and nobody writes a line. */
import assert from "node:assert/strict";
import { sessionKey } from "../../../client/identity.ts";
import { sessionId } from "../../../client/mod.ts";
import { subjectsOf, VERBS } from "../../../core/subjects.ts";
import { until } from "../../../dev/testing/until.ts";
import { Logins } from "../../support/checks/logins.ts";
import { connectLine, openRawClient, type RawClient } from "../../support/clients/raw-client.ts";
import { startTestStack, type TestStack } from "../../support/worlds/stack.ts";

const subjects = subjectsOf("zzzzz");
const TIMES = 5;
const repliesTo = (inbox: string) => [
  ...[".", "..", ".a.", ".a..b", ".*", ".>", ".a.*", ".a.>", ".a.>.b"].map((end) => inbox + end),
  ...[inbox, "elsewhere", "elsewhere.", ".", "..", ".x", "a..b", ">", "*", "$JS.API.x", "_INBOX.", `${inbox}x.`],
];

describe("a reply on which nobody can be answered", () => {
  let stack: TestStack;
  const logins = new Logins(() => stack);
  before(async () => {
    stack = await startTestStack({ log: logins.log });
  });
  after(() => stack?.[Symbol.asyncDispose]());

  const loud = (line: string) => (JSON.parse(line) as { level: string }).level.match(/^(warn|error|fatal)$/);
  /** Lines of the services, and of nats-server, while this is done. */
  async function linesOf(work: () => Promise<unknown>): Promise<string[]> {
    const [services, server] = [logins.lines.length, stack.nats.logs().length];
    await work();
    return [
      ...logins.lines.slice(services).filter(loud),
      ...stack.nats.logs().slice(server).split("\n").filter(Boolean),
    ];
  }

  async function session(token: string): Promise<{ client: RawClient; inbox: string; api: (verb: string) => string }> {
    const sid = sessionId();
    const key = await sessionKey(token, sid);
    const inbox = `_INBOX.${key.sessionToken}.${key.sid}`;
    const client = await openRawClient(stack.nats.websocketUrl);
    client.send(`${connectLine({ auth_token: token, user: sid, headers: true })}SUB ${inbox}.> 1\r\nPING\r\n`);
    await until(() => client.text().includes("PONG"), "the session");
    return { client, inbox, api: (verb) => `${subjects.root}.api.${key.sessionToken}.${key.sid}.${verb}` };
  }

  /** Answers come in the order of the questions. */
  async function answered({ client, inbox, api }: Awaited<ReturnType<typeof session>>): Promise<void> {
    client.send(`PUB ${api("stop")} ${inbox}.last 2\r\n{}\r\n`);
    await until(() => client.text().includes(`MSG ${inbox}.last `), "the last answer");
    client.socket.close();
    await client.closed;
  }

  for (const verb of VERBS) {
    it(`is not answered and writes no line, on ${verb}`, async () => {
      const one = await session(stack.cluster.users.alice.token.v2);
      const body =
        verb === "tail" ? JSON.stringify({ container: stack.cluster.container.uuid, file: "stdout.txt" }) : "{}";
      const lines = await linesOf(async () => {
        for (const reply of repliesTo(one.inbox))
          one.client.send(`PUB ${one.api(verb)} ${reply} ${body.length}\r\n${body}\r\n`.repeat(TIMES));
        await answered(one);
      });
      assert.deepEqual(lines, []);
      const answers = one.client.text().match(/H?MSG \S+/g) ?? [];
      assert.deepEqual([...new Set(answers)], [`HMSG ${one.inbox}.last`]);
    });
  }

  it("writes no line where a container publishes its log with it, and the log is stored", async () => {
    const { container } = stack.cluster;
    const one = await session(container.token.withContainer);
    const subject = subjects.log(container.uuid, "stderr.txt");
    const lines = await linesOf(async () => {
      for (const reply of repliesTo(one.inbox)) one.client.send(`PUB ${subject} ${reply} 1\r\nx\r\n`.repeat(TIMES));
      // nats-server forgets acknowledgements that are under way when it answers a reply with wildcards: so it is asked again.
      const isStored = () => {
        one.client.send(`PUB ${subject} ${one.inbox}.stored 1\r\nx\r\n`);
        return /\.stored 1 \d+\r\n\{"stream":"LOGS"/.test(one.client.text());
      };
      await until(isStored, "the acknowledgement");
      await answered(one);
    });
    assert.deepEqual(lines, []);
  });

  it("is counted", async () => {
    const one = await session(stack.cluster.users.alice.token.v2);
    one.client.send(`PUB ${one.api("whoami")} ${one.inbox}. 0\r\n\r\n`);
    await answered(one);
    const metrics = await (await fetch(`${stack.services.proxy.adminUrl}/metrics`)).text();
    const [, count] = /verbs_total\{[^}]*code="verb\.reply"[^}]*\} (\d+)/.exec(metrics) ?? [];
    assert.ok(Number(count) > TIMES * 20, `it says ${count}`);
  });
});
