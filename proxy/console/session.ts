/** A session with nats-server for as long as the page wants it, over nats.ws. */
import { connect } from "nats.ws";
import { type Client, type ClientStatus, connectOptions, createClient, sessionId } from "../../client/mod.ts";
import type { WhoamiAnswer } from "../../core/wire/wire.ts";

const RETRY_MS = 2_000;

/** `refused`: by the server; from outside, a wrong token and a service that cannot check it now look the same. */
export type SessionStatus = ClientStatus | "refused" | "unreachable";

export type SessionOptions = {
  websocketUrl: string;
  clusterId: string;
  token: string;
  /** Whether to try again after a refusal. */
  persistent: boolean;
  onStatus(status: SessionStatus, who: WhoamiAnswer | null): void;
  /** Called for each client: once, unless the connection closes for good. */
  onClient(client: Client): void;
};

/** Resolves when the session has ended and will not come back. */
export async function runSession(options: SessionOptions): Promise<void> {
  const { websocketUrl, clusterId, token, persistent } = options;
  for (;;) {
    const sid = sessionId();
    options.onStatus("connecting", null);
    try {
      const nc = await connect({ servers: websocketUrl, ...(await connectOptions(token, sid)) });
      const client = await createClient({ nc, clusterId, token, sid });
      options.onClient(client);
      client.watch(options.onStatus);
      await nc.closed();
      return;
    } catch (error) {
      // A token that cannot even be read: no server was asked.
      if (error instanceof TypeError) throw error;
      const refused = /authorization/i.test(String(error));
      options.onStatus(refused ? "refused" : "unreachable", null);
      if (refused && !persistent) return;
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}
