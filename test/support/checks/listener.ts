/** A session that subscribes to all it may read, ignores notices, and does not reconnect: it shows what reaches a user until nats-server closes it. */
import type { NatsConnection } from "@nats-io/nats-core";
import { sessionKey } from "../../../client/identity.ts";
import { readEvent } from "../../../client/live-event.ts";
import { type LiveEvent, sessionId } from "../../../client/mod.ts";
import { type Lsn, parseLsn } from "../../../core/lsn.ts";
import { subjectsOf } from "../../../core/subjects.ts";
import type { Notice } from "../../../core/wire/wire.ts";
import { answered, type Logins } from "./logins.ts";

export type Listener = {
  nc: NatsConnection;
  events: LiveEvent[];
  notices: Notice[];
  /** What it may subscribe to: what the gateway says, less what nats-server refuses, since the login may be older than the answer. */
  grants: readonly string[];
  /** What it has heard of the object. */
  about(object: string): LiveEvent[];
};

export async function startListener(logins: Logins, token: string): Promise<Listener> {
  const sid = sessionId();
  const subjects = subjectsOf("zzzzz");
  const login = await logins.login(token, sid);
  const { nc } = login;
  const events: LiveEvent[] = [];
  const notices: Notice[] = [];
  const refused = new Set<string>();
  nc.subscribe(subjects.notice(await sessionKey(token, sid)), {
    callback: (error, message) => void (error ?? notices.push(message.json<Notice>())),
  });
  const { grants } = await answered(login);
  for (const pattern of grants.subscribe.filter((subject) => subject.startsWith(`${subjects.root}.live.`))) {
    nc.subscribe(pattern, {
      callback(error, message) {
        if (error) return void refused.add(pattern);
        const event = readEvent(message);
        if (event) events.push(event);
      },
    });
  }
  await nc.flush();
  const about = (object: string) => events.filter(({ event }) => event.object_uuid === object);
  return { nc, events, notices, grants: grants.subscribe.filter((pattern) => !refused.has(pattern)), about };
}

/** Where the event's commit ends. */
export function lsnOf({ id }: LiveEvent): Lsn {
  return parseLsn(id.split(":")[0] as string);
}

/** The notices that the session got, in their order. */
export function noticesTo({ notices }: Listener): string[] {
  return notices.map(({ notice }) => notice);
}
