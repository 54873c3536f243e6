/** The edge on a listener of its own, before the nats-server of a test. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { until } from "../../../dev/testing/until.ts";
import { attachEdge, type Edge, type EdgeOptions } from "../../../proxy/edge/edge.ts";
import { silentLog } from "../../../runtime/log/log.ts";
import type { TestNats } from "./nats.ts";

export type EdgeDoor = {
  url: string;
  edge: Edge;
  /** Why it ended sockets itself, in order. */
  ended: string[];
  close(): Promise<void>;
};

export async function openEdge(nats: TestNats, options: Partial<EdgeOptions> = {}): Promise<EdgeDoor> {
  const ended: string[] = [];
  const server = createServer();
  const edge = attachEdge(server, {
    natsWebsocketUrl: nats.server.websocketUrl,
    seed: nats.keys.edge.seed,
    isForwarder: (address) => address === "127.0.0.1",
    connectWithin: 1_500,
    stalledAfter: 10_000,
    now: Date.now,
    log: silentLog(),
    onEnded: (because) => void ended.push(because),
    ...options,
  });
  const port = await listening(server);
  return {
    url: `ws://127.0.0.1:${port}/nats`,
    edge,
    ended,
    async close() {
      edge.close();
      await until(() => edge.sockets() === 0, "the edge's sockets to close");
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** As a resource of a block. */
export async function disposable<T extends { close(): Promise<void> }>(
  opening: Promise<T>,
): Promise<T & AsyncDisposable> {
  const opened = await opening;
  return Object.assign(opened, { [Symbol.asyncDispose]: () => opened.close() });
}

export async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}
