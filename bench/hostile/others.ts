/** What others feel: how long an event, a login and a verb take, of users who have done nothing. */
import type { NatsConnection } from "@nats-io/nats-core";
import { connect } from "@nats-io/transport-node";
import { connectOptions, sessionId, sessionKey } from "../../client/mod.ts";
import { subjectsOf } from "../../core/subjects.ts";
import { createLoad } from "../support/commit-load.ts";
import { login } from "../support/login-client.ts";
import { retried } from "../support/raw-session.ts";
import type { StackFacts } from "./stack.ts";

export const FELT = ["event", "login", "verb"] as const;
export type Felt = Record<(typeof FELT)[number], number[]>;

export const feltNothing = (): Felt => ({ event: [], login: [], verb: [] });

const EVENTS_PER_SECOND = 60;
const LOGINS_PER_SECOND = 50;
/** A session may make 50 requests a second: they are made by two in turn. */
const VERBS_PER_SECOND = 50;
/** What has not come by then counts as so long. */
const LONGEST_MS = 5_000;

/** An event that comes this soon says that nothing is left of what was. */
const CALM_MS = 30;

export type Others = {
  feel(ms: number, into: Felt): Promise<void>;
  /** Resolves once events come soon again, or after so many tries. */
  calm(tries: number): Promise<void>;
  close(): Promise<void>;
};

/** Of the admin, who hears all and has asked nobody for anything. */
export async function createOthers({ clusterId, users, projects, database, port }: StackFacts): Promise<Others> {
  const { token } = users.admin;
  const subjects = subjectsOf(clusterId);
  const load = await createLoad(database, projects.notes);
  const open = async (): Promise<{ nc: NatsConnection; api: string }> => {
    const sid = sessionId();
    const options = await connectOptions(token, sid);
    // The stack may still be taking in its cast.
    const nc = await retried(() =>
      connect({ servers: `127.0.0.1:${port}`, ...options, reconnect: false }).catch(() => null),
    );
    return { nc, api: subjects.api(await sessionKey(token, sid), "whoami") };
  };
  const asking = [await open(), await open()];
  const { nc: hearing } = await open();
  const begun = new Map<string, number>();
  let heard: (ms: number) => void = () => {};
  hearing.subscribe(subjects.live(">"), {
    callback(_error, { subject }) {
      const object = subject.split(".").at(-2) ?? "";
      const since = begun.get(object);
      if (since !== undefined && begun.delete(object)) heard(performance.now() - since);
    },
  });
  await hearing.flush();

  const timed = async (into: number[], work: () => Promise<unknown>) => {
    const from = performance.now();
    await work().catch(() => new Promise((resolve) => setTimeout(resolve, LONGEST_MS - (performance.now() - from))));
    into.push(performance.now() - from);
  };
  const every = async (perSecond: number, ms: number, one: (n: number) => Promise<void>) => {
    const all: Promise<void>[] = [];
    const from = performance.now();
    for (let i = 0; performance.now() - from < ms; i++) {
      all.push(one(i));
      await new Promise((resolve) => setTimeout(resolve, from + ((i + 1) * 1_000) / perSecond - performance.now()));
    }
    await Promise.all(all);
  };
  const ask = (n: number) => {
    const { nc, api } = asking[n % asking.length] as (typeof asking)[0];
    return nc.request(api, "", { timeout: LONGEST_MS });
  };
  const signIn = () => login({ port, user: sessionId(), pass: token });

  const settled = async (into: number[]) => {
    const end = performance.now() + LONGEST_MS;
    while (begun.size > 0 && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 2));
    for (const since of begun.values()) into.push(performance.now() - since);
    begun.clear();
  };

  return {
    async feel(ms, into) {
      heard = (took) => into.event.push(took);
      await Promise.all([
        load.paced(EVENTS_PER_SECOND, ms / 1_000, (object) => begun.set(object, performance.now())),
        every(VERBS_PER_SECOND, ms, (n) => timed(into.verb, () => ask(n))),
        every(LOGINS_PER_SECOND, ms, () => timed(into.login, signIn)),
      ]);
      await settled(into.event);
    },
    async calm(tries) {
      for (let soon = 0; tries > 0 && soon < 3; tries--) {
        const times: number[] = [];
        heard = (took) => times.push(took);
        await load.paced(1_000 / CALM_MS, CALM_MS / 1_000, (object) => begun.set(object, performance.now()));
        await settled(times);
        soon = Math.max(...times) <= CALM_MS ? soon + 1 : 0;
      }
    },
    async close() {
      await Promise.all([...asking, { nc: hearing }].map(({ nc }) => nc.close()));
      await load.close();
    },
  };
}
