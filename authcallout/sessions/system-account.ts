/** The system account: kicks and lists connections, and reports connections and servers that start and end. */
import type { Msg, NatsConnection } from "@nats-io/nats-core";
import { parseSessionName, type SessionName } from "../../core/session/session.ts";
import type { Session } from "./sessions.ts";

const REQUEST_TIMEOUT_MS = 1_000;
const PAGE = 1_024;
/** Pages overlap by so many rows: a connection that ends moves all later rows forward, and none may fall between two pages. */
const OVERLAP = 64;
/** As nats-server gives the reason in a DISCONNECT event. */
const KICKED = "Kicked";
const NO_SUCH_CLIENT = /no such client/;

type Server = { id: string; name: string };
type ServerReply = { server?: Partial<Server>; error?: { description?: string } };
type ConnzRow = { cid: number; authorized_user?: string };
type ConnzReply = ServerReply & { data?: { total?: number; connections?: ConnzRow[] } };
type ConnectionEvent = { server: Server; client: { id: number; user?: string }; reason?: string };

export type SystemAccount = {
  /** Resolves to true once the server itself says that the connection is gone; to false if it does not answer. */
  kick(server: string, cid: number): Promise<boolean>;
  /** The sessions of one server. Throws if it does not answer. */
  sessionsOf(server: string, now: number): Promise<Session[]>;
  /** Servers that answer a ping now. */
  servers(): Promise<Server[]>;
  watch(on: {
    connect: (session: Session) => void;
    /** @param left whose session it was, and whether it was kicked */
    disconnect: (server: string, cid: number, left?: { name: SessionName; kicked: boolean }) => void;
    /** A server sent a message. */
    seen: (server: Server) => void;
    /** A server announced its shutdown. */
    ended: (server: string) => void;
  }): void;
};

export function systemAccount(nc: NatsConnection, usersAccount: string, now: () => number): SystemAccount {
  const ask = async <T>(subject: string, body: unknown): Promise<T> =>
    (await nc.request(subject, JSON.stringify(body), { timeout: REQUEST_TIMEOUT_MS })).json<T>();

  const page = async (server: string, offset: number): Promise<ConnzRow[]> => {
    const options = { auth: true, acc: usersAccount, limit: PAGE, offset, sort: "cid" };
    const reply = await ask<ConnzReply>(`$SYS.REQ.SERVER.${server}.CONNZ`, options);
    if (!reply.data) throw new Error(reply.error?.description ?? "a listing without data");
    return reply.data.connections ?? [];
  };

  return {
    async kick(server, cid) {
      try {
        const reply = await ask<ServerReply>(`$SYS.REQ.SERVER.${server}.KICK`, { cid });
        return !reply.error || NO_SUCH_CLIENT.test(reply.error.description ?? "");
      } catch {
        // No answer, or no such server: the caller decides what that means.
        return false;
      }
    },
    async sessionsOf(server, since) {
      const rows = await allRows((offset) => page(server, offset), PAGE, OVERLAP);
      const sessions: Session[] = [];
      for (const { cid, authorized_user } of rows) {
        const name = parseSessionName(authorized_user ?? "");
        if (name) sessions.push({ server, cid, name, since });
      }
      return sessions;
    },
    async servers() {
      const found: Server[] = [];
      const replies = await nc.requestMany("$SYS.REQ.SERVER.PING", "", {
        strategy: "stall",
        maxWait: REQUEST_TIMEOUT_MS,
      });
      for await (const reply of replies) {
        const server = serverIn(reply);
        if (server) found.push(server);
      }
      return found;
    },
    watch({ connect, disconnect, seen, ended }) {
      const hear = (subject: string, callback: (message: Msg) => void) =>
        nc.subscribe(subject, { callback: (error, message) => (error ? undefined : callback(message)) });
      hear(`$SYS.ACCOUNT.${usersAccount}.CONNECT`, (message) => {
        const { server, client } = message.json<ConnectionEvent>();
        seen(server);
        const name = parseSessionName(client.user ?? "");
        if (name) connect({ server: server.id, cid: client.id, name, since: now() });
      });
      hear(`$SYS.ACCOUNT.${usersAccount}.DISCONNECT`, (message) => {
        const { server, client, reason } = message.json<ConnectionEvent>();
        seen(server);
        const name = parseSessionName(client.user ?? "");
        disconnect(server.id, client.id, name ? { name, kicked: reason === KICKED } : undefined);
      });
      hear("$SYS.SERVER.*.STATSZ", (message) => {
        const server = serverIn(message);
        if (server) seen(server);
      });
      hear("$SYS.SERVER.*.SHUTDOWN", (message) => ended(message.subject.split(".")[2] ?? ""));
    },
  };
}

/** All rows of a listing that changes while it is read: pages in order of cid, each beginning within the one before. Pure but for `page`. */
export async function allRows<R extends { cid: number }>(
  page: (offset: number) => Promise<R[]>,
  size: number,
  overlap: number,
): Promise<R[]> {
  const found = new Map<number, R>();
  let last = -1;
  for (let offset = 0; ; ) {
    const rows = await page(offset);
    const first = rows[0];
    // More connections ended than the pages overlap: go back until no row can lie between them.
    if (offset > 0 && (first === undefined || first.cid > last)) {
      offset = Math.max(0, offset - size);
      continue;
    }
    for (const row of rows) found.set(row.cid, row);
    last = rows.at(-1)?.cid ?? last;
    if (rows.length < size) return [...found.values()];
    offset += size - overlap;
  }
}

function serverIn(message: Msg): Server | null {
  const { server } = message.json<ServerReply>();
  return server?.id && server.name ? { id: server.id, name: server.name } : null;
}
