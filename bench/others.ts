/** What others feel: how long an event, a login and a verb take, of users who have done nothing. */
import type { NatsConnection } from "@nats-io/nats-core";
import { connect } from "@nats-io/transport-node";
import { connectOptions, sessionId, sessionKey } from "../client/mod.ts";
import { subjectsOf } from "../core/subjects.ts";
import type { Stack } from "../dev/stack.ts";
import { createLoad } from "./commit-load.ts";

export const FELT = ["event", "login", "verb"] as const;
export type Felt = Record<(typeof FELT)[number], number[]>;

const EVENTS_PER_SECOND = 60;
const LOGINS_PER_SECOND = 20;
const VERBS_PER_SECOND = 30;
/** What has not come by then counts as so long. */
const LONGEST_MS = 5_000;

export type Others = { feel(ms: number, into: Felt): Promise<void>; close(): Promise<void> };

/** Of the admin, who hears all and has asked nobody for anything. */
export async function createOthers({ cluster, postgres, config, nats }: Stack): Promise<Others> {
  const { admin } = cluster.users;
  const subjects = subjectsOf(cluster.clusterId);
  const load = await createLoad(postgres.url(config.postgres.dbname), cluster.projects.notes);
  const signIn = async (sid = sessionId()): Promise<NatsConnection> =>
    connect({ servers: nats.url, ...(await connectOptions(admin.token.v2, sid)), reconnect: false });
  const sid = sessionId();
  const nc = await signIn(sid);
  const api = subjects.api(await sessionKey(admin.token.v2, sid), "whoami");
  const begun = new Map<string, number>();
  let heard: (ms: number) => void = () => {};
  nc.subscribe(subjects.live(">"), {
    callback(_error, { subject }) {
      const object = subject.split(".").at(-2) ?? "";
      const since = begun.get(object);
      if (since !== undefined && begun.delete(object)) heard(performance.now() - since);
    },
  });
  await nc.flush();

  const timed = async (into: number[], work: () => Promise<unknown>) => {
    const from = performance.now();
    await work().catch(() => new Promise((resolve) => setTimeout(resolve, LONGEST_MS - (performance.now() - from))));
    into.push(performance.now() - from);
  };
  const every = async (perSecond: number, ms: number, one: () => Promise<void>) => {
    const all: Promise<void>[] = [];
    const from = performance.now();
    for (let i = 0; performance.now() - from < ms; i++) {
      all.push(one());
      await new Promise((resolve) => setTimeout(resolve, from + ((i + 1) * 1_000) / perSecond - performance.now()));
    }
    await Promise.all(all);
  };

  return {
    async feel(ms, into) {
      heard = (took) => into.event.push(took);
      await Promise.all([
        load.paced(EVENTS_PER_SECOND, ms / 1_000, (object) => begun.set(object, performance.now())),
        every(VERBS_PER_SECOND, ms, () => timed(into.verb, () => nc.request(api, "", { timeout: LONGEST_MS }))),
        every(LOGINS_PER_SECOND, ms, () => timed(into.login, async () => (await signIn()).close())),
      ]);
      const end = performance.now() + LONGEST_MS;
      while (begun.size > 0 && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 2));
      for (const since of begun.values()) into.event.push(performance.now() - since);
      begun.clear();
    },
    async close() {
      await nc.close();
      await load.close();
    },
  };
}
