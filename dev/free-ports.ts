/** Ports of loopback that were free a moment ago. */
import { createServer, type Server } from "node:net";

/** Held all at once, so that no two are the same. */
export async function freePorts(count: number): Promise<number[]> {
  const held = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<Server>((resolve, reject) => {
          const server = createServer()
            .once("error", reject)
            .listen(0, "127.0.0.1", () => resolve(server));
        }),
    ),
  );
  const ports = held.map((server) => (server.address() as { port: number }).port);
  await Promise.all(held.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
