/**
 * nats-server's other doors: MQTT and leafnodes, opened in its configuration. The callout is asked about those who come by them too, and no
 * listing of sessions shows them, so nobody comes in, whatever the token.
 */
import assert from "node:assert/strict";
import { connect as dial } from "node:net";
import { sessionId } from "../../../client/mod.ts";
import { freePorts } from "../../../dev/servers/free-ports.ts";
import { startNatsServer } from "../../../dev/servers/nats-server.ts";
import { until } from "../../../dev/testing/until.ts";
import { generateKeys, publicKeys } from "../../../streams-config/keys.ts";
import { Logins } from "../../support/checks/logins.ts";
import { spawnCli } from "../../support/clients/cli.ts";
import { startTestStack, type TestStack } from "../../support/worlds/stack.ts";

/** A connection as bytes; `done` says when enough has come. */
async function exchange(port: number, first: (said: string) => Buffer | null, done: (said: Buffer) => boolean) {
  const socket = dial(port, "127.0.0.1");
  let said = Buffer.alloc(0);
  let isOver = false;
  socket.on("error", () => {});
  socket.on("close", () => {
    isOver = true;
  });
  socket.on("data", (bytes) => {
    said = Buffer.concat([said, bytes]);
  });
  const question = await until(() => first(said.toString()), "the server's first word");
  socket.write(question);
  await until(() => isOver || done(said), "an answer");
  socket.destroy();
  return said;
}

const text = (value: string) =>
  Buffer.concat([Buffer.from([value.length >> 8, value.length & 255]), Buffer.from(value)]);

/** CONNACK's return code: 0 = accepted; null = it was closed before. */
async function mqtt(port: number, user: string, password: string): Promise<number | null> {
  const body = Buffer.concat([
    ...[text("MQTT"), Buffer.from([4, 0b11000010, 0, 60]), text("client1"), text(user), text(password)],
  ]);
  const packet = Buffer.concat([Buffer.from([0x10, (body.length & 127) | 128, body.length >> 7]), body]);
  const answer = await exchange(
    port,
    () => packet,
    (said) => said.length >= 4,
  );
  return answer[3] ?? null;
}

/** What the server says to a leafnode that signs in with this. */
async function leafnode(port: number, options: object): Promise<string> {
  const line = { name: "leaf", server_id: "NLEAF", version: "2.15.2", headers: true, jetstream: false, ...options };
  const answer = await exchange(
    port,
    (said) => (said.includes("\r\n") ? Buffer.from(`CONNECT ${JSON.stringify(line)}\r\nPING\r\n`) : null),
    (said) => said.includes("-ERR") || said.includes("PONG"),
  );
  return answer.toString();
}

describe("a login by another door of nats-server", () => {
  let stack: TestStack;
  let ports: { mqtt: number; leaf: number; monitor: number };
  const logins = new Logins(() => stack);

  before(async () => {
    const [mqttPort = 0, leafPort = 0, monitor = 0] = await freePorts(3);
    ports = { mqtt: mqttPort, leaf: leafPort, monitor };
    const natsConf = `http: "127.0.0.1:${monitor}"\nmqtt { listen: "127.0.0.1:${mqttPort}" }\nleafnodes { listen: "127.0.0.1:${leafPort}" }\n`;
    stack = await startTestStack({ log: logins.log, natsConf });
    await logins.isKnown(token());
  });
  after(() => stack?.[Symbol.asyncDispose]());

  const token = () => stack.cluster.users.admin.token.v2;
  const refused = (from: number) =>
    until(() => logins.lines.slice(from).find((line) => line.includes("login refused")), "the reason in the log");
  const admitted = (from: number) => logins.lines.slice(from).filter((line) => line.includes("login admitted"));

  it("is refused over MQTT, with a token that is good, and says why", async () => {
    const from = logins.lines.length;
    const code = await mqtt(ports.mqtt, sessionId(), token());
    assert.notEqual(code, 0);
    assert.match(await refused(from), /"code":"login.kind"/);
    assert.deepEqual(admitted(from), []);
  });

  for (const how of ["auth_token", "pass"] as const) {
    it(`is refused as a leafnode, with the token as ${how}`, async () => {
      const from = logins.lines.length;
      const said = await leafnode(ports.leaf, { user: sessionId(), [how]: token() });
      assert.match(said, /-ERR 'Authorization Violation'/);
      assert.match(await refused(from), /"code":"login.kind"/);
      assert.deepEqual(admitted(from), []);
    });
  }

  it("does not count as a guess, and the doors that are ours stay open", async () => {
    for (let count = 0; count < stack.config.guessesPerMinute + 1; count++)
      await mqtt(ports.mqtt, sessionId(), token());
    await logins.whoIs(token());
  });

  it("has a door that `servers doors` names", async () => {
    const { out, code } = await spawnCli([
      "servers",
      "doors",
      `http://127.0.0.1:${ports.monitor}`,
      "http://127.0.0.1:1",
    ]);
    const doors = `leafnodes 127.0.0.1:${ports.leaf}, mqtt 127.0.0.1:${ports.mqtt}`;
    assert.equal(out.split("\n")[0], `bad  arvados-nats-zzzzz  listens for ${doors}`);
    assert.match(out, /^bad {2}http:\/\/127\.0\.0\.1:1 {2}does not answer/m);
    assert.equal(code, 1);
    const closed = await startNatsServer({
      conf: { clusterId: "zzzzz", keys: publicKeys(generateKeys()), ports: { monitor: -1 } },
    });
    try {
      const well = await spawnCli(["servers", "doors", closed.monitorUrl ?? ""]);
      assert.equal(well.out, "ok   arvados-nats-zzzzz  has no other listener\n");
      assert.equal(well.code, 0);
    } finally {
      await closed.stop();
    }
  });
});
