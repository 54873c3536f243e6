/** A process of its own that stands between browsers and nats-server's WebSocket port: the edge, or a pipe that looks at no byte. Prints its port. */
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, connect, createServer as createTcpServer, type Server, type Socket } from "node:net";
import { attachEdge } from "../../proxy/edge/edge.ts";
import { silentLog } from "../../runtime/log/log.ts";
import { generateKeys } from "../../streams-config/keys.ts";

const [kind, natsPort] = process.argv.slice(2);
const server: Server = kind === "edge" ? edge() : pipe();
server.listen(0, "127.0.0.1", () => console.log(`ready ${(server.address() as AddressInfo).port}`));

function edge(): Server {
  const http = createHttpServer();
  attachEdge(http, {
    natsWebsocketUrl: `ws://127.0.0.1:${natsPort}`,
    seed: generateKeys().edge.seed,
    isForwarder: () => false,
    connectWithin: 10_000,
    stalledAfter: 10_000,
    now: Date.now,
    log: silentLog(),
    onEnded: (because) => console.error(`a socket was ended: ${because}`),
    pendingBounds: { perAddress: 10_000, total: 10_000 },
  });
  return http;
}

function pipe(): Server {
  const pass = (from: Socket, to: Socket) => {
    from.on("data", (chunk) => {
      if (!to.write(chunk)) from.pause();
    });
    to.on("drain", () => from.resume());
    from.on("close", () => to.destroy());
    from.on("error", () => {});
    from.setNoDelay(true);
  };
  return createTcpServer((client) => {
    const upstream = connect(Number(natsPort), "127.0.0.1");
    pass(client, upstream);
    pass(upstream, client);
  });
}
