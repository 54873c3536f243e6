import assert from "node:assert/strict";
import { createServer, type Server, type Socket } from "node:net";
import type { PeerCertificate } from "node:tls";
import { createUser } from "@nats-io/nkeys";
import { Fault } from "../../../core/errors.ts";
import { until } from "../../../dev/testing/until.ts";
import { listen } from "../../../runtime/listen.ts";
import { createLog, silentLog } from "../../../runtime/log/log.ts";
import { connectNats, type NatsConnectionOptions, tlsOf } from "../../../runtime/nats/connection.ts";

const INFO = { server_id: "X", version: "2.15.2", proto: 1, headers: true, max_payload: 1048576, nonce: "noncenonce" };

/** As much of nats-server as a sign-in needs; `answerTo` says what CONNECT gets. */
async function fakeServer(
  answerTo: (connect: string) => string,
  info: object = INFO,
): Promise<{ url: string; server: Server; sockets: Socket[]; connects: string[] }> {
  const sockets: Socket[] = [];
  const connects: string[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
    socket.write(`INFO ${JSON.stringify(info)}\r\n`);
    socket.on("data", (data) => {
      const text = data.toString();
      if (text.includes("CONNECT")) {
        connects.push(text);
        const answer = answerTo(text);
        socket.write(`${answer}\r\n`);
        if (answer.startsWith("-ERR")) socket.end();
      } else if (text.includes("PING")) socket.write("PONG\r\n");
    });
  });
  const address = await listen(server, { host: "127.0.0.1", port: 0 }, { what: "the fake", setting: "-" });
  return { url: `nats://127.0.0.1:${address.port}`, server, sockets, connects };
}

const seed = new TextDecoder().decode(createUser().getSeed());
const options: Omit<NatsConnectionOptions, "url"> = { seed, account: "CORE", name: "test", log: silentLog() };

async function faultOf(work: Promise<unknown>): Promise<Fault> {
  const error = await work.then(
    () => assert.fail("it connected"),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof Fault, String(error));
  assert.ok(!JSON.stringify([error.message, error.facts, error.remedy]).includes(seed));
  return error;
}

describe("connectNats", () => {
  const servers: { server: Server; sockets: Socket[] }[] = [];
  const fake = async (answer: string | ((connect: string) => string), info: object = INFO) => {
    const made = await fakeServer(typeof answer === "string" ? () => answer : answer, info);
    servers.push(made);
    return made;
  };
  afterEach(() => {
    for (const { server, sockets } of servers.splice(0)) {
      server.close();
      for (const socket of sockets) socket.destroy();
    }
  });

  it("logs in with the nkey and its signature, never with the seed", async () => {
    const { url, connects } = await fake("PONG");
    const connection = await connectNats({ ...options, url, inboxPrefix: "_INBOX.bridge" });
    await connection.close();
    assert.match(connects.join(""), /"nkey":"U[A-Z2-7]+"/);
    assert.match(connects.join(""), /"sig":"/);
    assert.ok(!connects.join("").includes(seed));
  });

  it("fails at once when nothing answers", async () => {
    const { url, server } = await fake("PONG");
    await new Promise((resolve) => server.close(resolve));
    const failure = await faultOf(connectNats({ ...options, url }));
    assert.equal(failure.code, "nats.unreachable");
    assert.match(failure.message, /nats-server at nats:\/\/127\.0\.0\.1:\d+ does not answer: .*ECONNREFUSED/);
  });

  it("sends nothing to a server without TLS when the URL demands TLS", async () => {
    const { url, connects } = await fake("PONG");
    const failure = await faultOf(connectNats({ ...options, url: url.replace("nats:", "tls:") }));
    assert.equal(failure.code, "nats.no_tls");
    assert.deepEqual(connects, []);
  });

  it("accepts a certificate for an address only if it contains that address", () => {
    const check = tlsOf("tls://[fd00::1]:4222").tls?.checkServerIdentity;
    const names = (subjectaltname: string) => ({ subjectaltname, subject: {} }) as PeerCertificate;
    assert.equal(check?.("localhost", names("IP Address:FD00:0:0:0:0:0:0:1")), undefined);
    assert.ok(check?.("localhost", names("DNS:localhost")) instanceof Error);
    assert.deepEqual(tlsOf("tls://nats.example.org:4222"), { tls: {} });
    assert.deepEqual(tlsOf("nats://127.0.0.1:4222"), {});
    const either = tlsOf("tls://nats.example.org:4222 tls://[fd00::1]:4222 tls://[fd00::2]:4222").tls
      ?.checkServerIdentity;
    assert.equal(either?.("localhost", names("IP Address:FD00:0:0:0:0:0:0:2")), undefined);
    assert.equal(either?.("nats.example.org", names("DNS:nats.example.org")), undefined);
    assert.ok(either?.("nats.example.org", names("IP Address:FD00:0:0:0:0:0:0:2")) instanceof Error);
    assert.ok(either?.("localhost", names("DNS:localhost")) instanceof Error);
  });

  it("goes to the next of several addresses while one is away, and the first one while it is there", async () => {
    const [first, second] = [await fake("PONG"), await fake("PONG")];
    const connection = await connectNats({ ...options, url: `${first.url} ${second.url}` });
    assert.deepEqual([first.connects.length, second.connects.length], [1, 0]);
    first.server.close();
    for (const socket of first.sockets) socket.destroy();
    await until(() => second.connects.length === 1, "the other server to be asked");
    await connection.close();
    const late = await connectNats({ ...options, url: `${first.url} ${second.url}` });
    assert.equal(second.connects.length, 2);
    await late.close();
  });

  it("does not wait without limit for a server that sends nothing", async () => {
    const sockets: Socket[] = [];
    const mute = createServer((socket) => sockets.push(socket));
    servers.push({ server: mute, sockets });
    const { port } = await listen(mute, { host: "127.0.0.1", port: 0 }, { what: "mute", setting: "-" });
    const failure = await faultOf(connectNats({ ...options, url: `nats://127.0.0.1:${port}`, timeoutMs: 50 }));
    assert.equal(failure.code, "nats.unreachable");
    assert.match(failure.message, /timeout/);
  });

  it("retries a login that was not answered in time, as by a server that stalled", async () => {
    let isAwake = false;
    const { url, connects } = await fake(() => (isAwake ? "PONG" : "-ERR 'Authentication Timeout'"));
    const connecting = connectNats({ ...options, url, timeoutMs: 500 });
    await until(() => connects.length > 0, "the first try");
    isAwake = true;
    await (await connecting).close();
    assert.equal(connects.length, 2);
  });

  it("refuses a server version that can lose acknowledged messages, and names the reason", async () => {
    const { url, sockets } = await fake("PONG", { ...INFO, version: "2.15.1" });
    const failure = await faultOf(connectNats({ ...options, url }));
    assert.equal(failure.code, "nats.too_old");
    assert.match(failure.message, /has version 2\.15\.1; .*2\.15\.2.*lose acknowledged messages/);
    await until(() => sockets.every((socket) => socket.closed), "the connection to end");
    const looking = await connectNats({ ...options, url, anyVersion: true });
    assert.equal(looking.info?.version, "2.15.1", "doctor and the admin's commands work with it");
    await looking.close();
  });

  it("distinguishes a refusal from an outage, and names the account", async () => {
    const { url, connects } = await fake("-ERR 'Authorization Violation'");
    const failure = await faultOf(connectNats({ ...options, url }));
    assert.equal(failure.code, "nats.refused");
    assert.equal(failure.handling, "config");
    assert.match(failure.message, /refuses the CORE user: .*Authorization Violation/i);
    assert.equal(connects.length, 1);
  });

  it("logs in with either of two nkeys, whichever the server knows", async () => {
    const nkeys = [createUser(), createUser()];
    const [known, unknown] = nkeys.map((pair) => pair.getPublicKey());
    const seeds = nkeys.map((pair) => new TextDecoder().decode(pair.getSeed()));
    for (const both of [seeds.join(" "), seeds.reverse().join(" ")]) {
      const { url, connects } = await fake((connect) =>
        connect.includes(known ?? "") ? "PONG" : "-ERR 'Authorization Violation'",
      );
      const connection = await connectNats({ ...options, url, seed: both });
      await connection.close();
      assert.ok(connects.at(-1)?.includes(known ?? ""));
      assert.equal(connects.filter((text) => text.includes(unknown ?? "")).length, connects.length - 1);
    }
  });

  it("comes back by itself when the server does, and logs both", async () => {
    const { url, sockets, connects } = await fake("PONG");
    const lines: string[] = [];
    const log = createLog({ format: "json", sink: { write: (line) => lines.push(line) } });
    const connection = await connectNats({ ...options, log, url });
    sockets[0]?.destroy();
    await until(() => connects.length === 2 && lines.length === 2, "a second sign-in");
    await connection.close();
    assert.match(lines.join(""), /disconnected from nats-server.*\n.*reconnected to nats-server/);
  });
});
