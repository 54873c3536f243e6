/** One address for several servers, as a Kubernetes Service is: each connection goes to one that takes it. */
import { once } from "node:events";
import { createServer, connect as dial, type Socket } from "node:net";
import { listen } from "../../runtime/listen.ts";

export type Balancer = AsyncDisposable & { port: number };

/** @param ports on loopback; asked at each connection */
export async function startBalancer(ports: () => readonly number[]): Promise<Balancer> {
  const open = new Set<Socket>();
  let turn = 0;
  const server = createServer((client) => {
    open.add(client);
    client.on("error", () => {}).on("close", () => open.delete(client));
    void (async () => {
      const all = ports();
      const first = turn++;
      for (const place of all.keys()) {
        const upstream = dial(all[(first + place) % all.length] ?? 0, "127.0.0.1");
        upstream.on("error", () => {});
        const [outcome] = await Promise.race([
          once(upstream, "connect").then(() => ["connected"]),
          once(upstream, "close").then(() => ["refused"]),
        ]);
        if (outcome === "refused") continue;
        upstream.on("close", () => client.destroy());
        client.on("close", () => upstream.destroy());
        upstream.pipe(client).pipe(upstream);
        return;
      }
      client.destroy();
    })().catch(() => client.destroy());
  });
  const { port } = await listen(server, { host: "127.0.0.1", port: 0 }, { what: "the balancer", setting: "-" });
  return {
    port,
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}
