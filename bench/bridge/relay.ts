/** The floor of what arvados-ws does: LISTEN, SELECT the log row, send it to every WebSocket. No permissions, no filters. */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import pg from "pg";
import WebSocket, { WebSocketServer } from "ws";

export type NotifyRelay = { close(): Promise<void> };

/** @param onEvent called by every one of the clients, with the event's object */
export async function startNotifyRelay(
  url: string,
  clients: number,
  onEvent: (object: string) => void,
): Promise<NotifyRelay> {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const sockets = Array.from({ length: clients }, () => new WebSocket(`ws://127.0.0.1:${port}`));
  for (const socket of sockets) {
    socket.on("message", (data) => onEvent((JSON.parse(String(data)) as { object_uuid: string }).object_uuid));
  }
  await Promise.all(sockets.map((socket) => once(socket, "open")));
  const [listener, reader] = [new pg.Client(url), new pg.Client(url)];
  await Promise.all([listener.connect(), reader.connect()]);
  const pass = async (id: string | undefined) => {
    const { rows } = await reader.query({
      name: "log",
      text: "SELECT id, uuid, object_uuid, object_owner_uuid, event_type, event_at, properties FROM logs WHERE id = $1",
      values: [id],
    });
    const [row] = rows as Record<string, string>[];
    if (!row) return;
    const text = JSON.stringify({ ...row, properties: JSON.parse(row.properties ?? "{}") });
    for (const client of server.clients) client.send(text);
  };
  // One after the other, as arvados-ws does it, so that events keep their order.
  let last = Promise.resolve();
  listener.on("notification", ({ payload }) => {
    last = last.then(() => pass(payload));
  });
  await listener.query("LISTEN logs");
  return {
    async close() {
      await listener.end();
      await last;
      await reader.end();
      for (const socket of sockets) socket.terminate();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
