/** What the system account can do for us: kick a connection, list connections, hear of them coming and going. */
import type { NatsConnection } from "@nats-io/nats-core";
import { parseSessionName } from "../core/session.ts";
import type { Session } from "./sessions.ts";

const REQUEST_TIMEOUT_MS = 1_000;
const PAGE = 1_024;
const NO_SUCH_CLIENT = /no such client/;

type ServerReply = { server?: { id?: string; name?: string }; error?: { description?: string } };
type ConnzReply = ServerReply & {
  data?: { total?: number; connections?: { cid: number; authorized_user?: string }[] };
};
type ConnectionEvent = { server: { id: string; name: string }; client: { id: number; user?: string } };

export type SystemAccount = {
  /** Resolves true once that server itself says that the connection is gone; false when it does not answer. */
  kick(server: string, cid: number): Promise<boolean>;
  /** The sessions of one server. Throws when it does not answer. */
  sessionsOf(server: string, now: number): Promise<Session[]>;
  /** Servers that answer a ping now: name -> id. */
  servers(): Promise<Map<string, string>>;
  watch(on: { connect: (session: Session) => void; disconnect: (server: string, cid: number) => void }): void;
};

export function systemAccount(nc: NatsConnection, usersAccount: string, now: () => number): SystemAccount {
  const ask = async <T>(subject: string, body: unknown): Promise<T> =>
    (await nc.request(subject, JSON.stringify(body), { timeout: REQUEST_TIMEOUT_MS })).json<T>();

  return {
    async kick(server, cid) {
      try {
        const reply = await ask<ServerReply>(`$SYS.REQ.SERVER.${server}.KICK`, { cid });
        return !reply.error || NO_SUCH_CLIENT.test(reply.error.description ?? "");
      } catch {
        // No answer, or nobody there: the caller decides what silence means.
        return false;
      }
    },
    async sessionsOf(server, since) {
      const sessions: Session[] = [];
      for (let offset = 0; ; offset += PAGE) {
        const options = { auth: true, acc: usersAccount, limit: PAGE, offset };
        const reply = await ask<ConnzReply>(`$SYS.REQ.SERVER.${server}.CONNZ`, options);
        const page = reply.data?.connections ?? [];
        for (const { cid, authorized_user } of page) {
          const name = parseSessionName(authorized_user ?? "");
          if (name) sessions.push({ server, cid, name, since });
        }
        if (page.length < PAGE) return sessions;
      }
    },
    async servers() {
      const found = new Map<string, string>();
      const replies = await nc.requestMany("$SYS.REQ.SERVER.PING", "", {
        strategy: "stall",
        maxWait: REQUEST_TIMEOUT_MS,
      });
      for await (const reply of replies) {
        const { server } = reply.json<ServerReply>();
        if (server?.id && server.name) found.set(server.name, server.id);
      }
      return found;
    },
    watch({ connect, disconnect }) {
      nc.subscribe(`$SYS.ACCOUNT.${usersAccount}.CONNECT`, {
        callback: (error, message) => {
          const event = error ? null : message.json<ConnectionEvent>();
          const name = parseSessionName(event?.client.user ?? "");
          if (event && name) connect({ server: event.server.id, cid: event.client.id, name, since: now() });
        },
      });
      nc.subscribe(`$SYS.ACCOUNT.${usersAccount}.DISCONNECT`, {
        callback: (error, message) => {
          const event = error ? null : message.json<ConnectionEvent>();
          if (event) disconnect(event.server.id, event.client.id);
        },
      });
    },
  };
}
