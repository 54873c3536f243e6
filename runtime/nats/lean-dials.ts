/**
 * Keeps a connection of the client library from growing while its server is away. A dial that ends after the server's INFO (a refused
 * sign-in, a server that shuts down or is full) is a "disconnect" to the library: it waits once more for the dial loop that is running
 * already, and holds some 3 kB until that ends, which may take a day (@nats-io/nats-core 3.4; nats.js issue 433). One wait is enough.
 */
import type { NatsConnection } from "@nats-io/nats-core";

/** What is looked into of the library's own: `connectPromise` is the dial loop while it runs. */
type Protocol = {
  connectPromise: Promise<void> | null;
  transport: { isClosed: boolean };
  disconnected(error?: Error): Promise<void>;
  isClosed(): boolean;
};

export function leanDials(connection: NatsConnection): void {
  const { protocol } = connection as unknown as { protocol?: Protocol };
  // Another version of the library: without this it works as well, and a test sees it.
  if (typeof protocol?.disconnected !== "function") return;
  const lost = protocol.disconnected.bind(protocol);
  let isWaiting = false;
  protocol.disconnected = async (error) => {
    const dialling = protocol.connectPromise;
    if (dialling === null) return lost(error);
    const look = () => {
      isWaiting = false;
      // The dial that succeeded was lost in the same moment.
      if (!protocol.isClosed() && protocol.transport.isClosed) void protocol.disconnected(error);
    };
    if (isWaiting) return;
    isWaiting = true;
    void dialling.then(look, look);
  };
}
