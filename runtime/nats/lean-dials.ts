/**
 * Bounds the memory of a connection of the client library while its server is away. A dial that ends after the server's INFO (a refused
 * login, a server that shuts down or is full) is a "disconnect" to the library: it waits once more for the dial loop that already runs,
 * and holds some 3 kB until that loop ends, which may take a day (@nats-io/nats-core 3.4; nats.js issue 433). One wait is enough.
 */
import type { NatsConnection } from "@nats-io/nats-core";

/** The internals of the library that are used: `connectPromise` is the dial loop while it runs. */
type Protocol = {
  connectPromise: Promise<void> | null;
  transport: { isClosed: boolean };
  disconnected(error?: Error): Promise<void>;
  isClosed(): boolean;
};

export function leanDials(connection: NatsConnection): void {
  const { protocol } = connection as unknown as { protocol?: Protocol };
  // Another version of the library: it works without this too, and a test notices the change.
  if (typeof protocol?.disconnected !== "function") return;
  const lost = protocol.disconnected.bind(protocol);
  let isWaiting = false;
  protocol.disconnected = async (error) => {
    const dialling = protocol.connectPromise;
    if (dialling === null) return lost(error);
    const check = () => {
      isWaiting = false;
      // The dial that succeeded was lost in the same moment.
      if (!protocol.isClosed() && protocol.transport.isClosed) void protocol.disconnected(error);
    };
    if (isWaiting) return;
    isWaiting = true;
    void dialling.then(check, check);
  };
}
