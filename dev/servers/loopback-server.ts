/** An HTTP server on loopback: what stands for somebody else's service in tests and demo. */
import type { RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { createHttpServer } from "../../runtime/http-server.ts";

export type LoopbackServer = AsyncDisposable & { url: string };

/** @param port 0 = any free one */
export async function startLoopbackServer(listener: RequestListener, port = 0): Promise<LoopbackServer> {
  const server = createHttpServer(listener);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(port, "127.0.0.1", resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
