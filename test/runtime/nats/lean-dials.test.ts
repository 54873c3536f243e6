/** A service whose nats-server is away for a day dials some hundred thousand times: its memory must not grow by that. */
import assert from "node:assert/strict";
import { createServer, type Socket } from "node:net";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { NatsConnection } from "@nats-io/nats-core";
import { createUser } from "@nats-io/nkeys";
import { connect } from "@nats-io/transport-node";
import { until } from "../../../dev/testing/until.ts";
import { listen } from "../../../runtime/listen.ts";
import { createLog } from "../../../runtime/log/log.ts";
import { connectNats } from "../../../runtime/nats/connection.ts";
import { leanDials } from "../../../runtime/nats/lean-dials.ts";

const INFO = { server_id: "X", version: "2.15.2", proto: 1, headers: true, max_payload: 1048576, nonce: "noncenonce" };
const seed = new TextDecoder().decode(createUser().getSeed());

type Away = "refuses the connection" | "refuses the sign-in";

setFlagsFromString("--expose_gc");
const collect = runInNewContext("gc") as () => void;

/** A server that lets in until it is `away`; counts dials it sees. */
async function fakeServer() {
  const sockets = new Set<Socket>();
  let away: Away | null = null;
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {}).on("close", () => sockets.delete(socket));
    socket.write(`INFO ${JSON.stringify(INFO)}\r\n`);
    socket.on("data", (data) => {
      const isConnect = data.toString().includes("CONNECT");
      if (away === "refuses the sign-in" && isConnect) socket.end("-ERR 'Authorization Violation'\r\n");
      else socket.write("PONG\r\n");
    });
  });
  const { port } = await listen(server, { host: "127.0.0.1", port: 0 }, { what: "the fake", setting: "-" });
  return {
    url: `nats://127.0.0.1:${port}`,
    goAway(how: Away) {
      away = how;
      if (how === "refuses the connection") server.close();
      for (const socket of sockets) socket.destroy();
    },
    comeBack() {
      away = null;
    },
    [Symbol.asyncDispose]: async () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** As connectNats dials, but without a signature each time, which would take most of the test. */
function dialling(servers: string): Promise<NatsConnection> {
  return connect({ servers, maxReconnectAttempts: -1, ignoreAuthErrorAbort: true, reconnectDelayHandler: () => 0 });
}

/** Bytes of heap a dial that fails leaves, once the first ones have warmed everything up. */
async function bytesPerDial(connection: NatsConnection): Promise<number> {
  let dials = 0;
  void (async () => {
    for await (const { type } of connection.status()) if (type === "reconnecting") dials++;
  })();
  const heapAt = async (count: number) => {
    await until(() => dials >= count, `${count} dials`);
    collect();
    return { heap: process.memoryUsage().heapUsed, dials };
  };
  const first = await heapAt(500);
  const last = await heapAt(2_000);
  return (last.heap - first.heap) / (last.dials - first.dials);
}

/** 5 MB for 10,000. */
const MOST = 500;

describe("a connection whose server stays away", function () {
  this.timeout(60_000);

  for (const away of ["refuses the connection", "refuses the sign-in"] as const) {
    it(`holds no more memory for each failed dial to a server that ${away}`, async () => {
      await using server = await fakeServer();
      const connection = await dialling(server.url);
      leanDials(connection);
      server.goAway(away);
      const bytes = await bytesPerDial(connection);
      await connection.close();
      assert.ok(bytes < MOST, `${Math.round(bytes)} bytes a dial`);
    });
  }

  it("would hold some kilobytes for each: negative control", async () => {
    await using server = await fakeServer();
    const connection = await dialling(server.url);
    server.goAway("refuses the sign-in");
    const bytes = await bytesPerDial(connection);
    await connection.close();
    assert.ok(bytes > 2 * MOST, `${Math.round(bytes)} bytes a dial`);
  });

  it("reports one loss and one reconnect, whatever came in between, and works again", async () => {
    await using server = await fakeServer();
    const lines: string[] = [];
    const log = createLog({ format: "json", sink: { write: (line) => lines.push(line) } });
    const connection = await connectNats({ url: server.url, seed, account: "CORE", name: "t", log, reconnectMs: 0 });
    server.goAway("refuses the sign-in");
    const said = (what: string) => lines.filter((line) => line.includes(what)).length;
    await until(() => said("reports an error") > 20, "some dials to fail");
    server.comeBack();
    await until(() => said("reconnected") === 1, "the connection to come back");
    await connection.flush();
    assert.deepEqual([said("disconnected from"), said("reconnected to")], [1, 1]);
    await connection.close();
  });
});
