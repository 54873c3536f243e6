/**
 * The five accounts of nats-server, what they export to each other, and the permissions that each service needs in each, as data.
 * `server-conf.ts` renders it.
 *
 * Users are never in the account of a stream: a PubAck goes to whatever reply subject its publisher names, so with
 * streams in APP a container that may publish only its own log could write into any other stream.
 */

import { ALL_INBOXES, serviceInbox, subjectsOf } from "../core/subjects.ts";

export const ACCOUNTS = {
  SYS: {
    jetstream: false,
    why: "the system account: authcallout lists and kicks connections here; nobody else can",
  },
  CORE: {
    jetstream: true,
    why: "the callout account: login requests, the permission graph and the barrier; whoever could subscribe here would read everyone's tokens",
  },
  STORE: {
    jetstream: true,
    why: "holds the streams of records, logs, queue and services' own lines; only services have JetStream's API here",
  },
  APP: {
    jetstream: false,
    why: "all users, and no JetStream: what users can name as subject or as reply reaches no stream but LOGS",
  },
  DOOR: {
    jetstream: false,
    why: "where services meet users: requests come in, answers and notices go out. The limits of APP count no service, so users cannot keep one out",
  },
} as const satisfies Record<string, { jetstream: boolean; why: string }>;

export type AccountName = keyof typeof ACCOUNTS;
export const ACCOUNT_NAMES = Object.keys(ACCOUNTS) as AccountName[];

/** The accounts that hold streams. */
export type StreamAccount = {
  [A in AccountName]: (typeof ACCOUNTS)[A]["jetstream"] extends true ? A : never;
}[AccountName];

/** The account of each stream. */
export const STREAMS = {
  GRAPH: "CORE",
  GRAPHLOG: "CORE",
  BARRIER: "CORE",
  RECORDS: "STORE",
  LOGS: "STORE",
  QUEUE: "STORE",
  SYSLOG: "STORE",
} as const satisfies Record<string, StreamAccount>;

export type StreamName = keyof typeof STREAMS;
export const STREAM_NAMES = Object.keys(STREAMS) as StreamName[];

/**
 * Which service works in which accounts. A user belongs to one account, so each pair has an nkey and a connection of its own.
 * `APP` here names whom a service talks to; its nkey is in account DOOR (`accountOf`). The name is that of the keys of an installation.
 */
export const SERVICE_ACCOUNTS = {
  authcallout: ["SYS", "CORE", "APP"],
  bridge: ["CORE", "STORE"],
  gateway: ["CORE", "STORE", "APP"],
  /** `arvados-nats streams apply`: may create and update streams, which no running service may; may not delete or purge. */
  streams: ["CORE", "STORE"],
} as const satisfies Record<string, readonly AccountName[]>;

export type NatsServiceName = keyof typeof SERVICE_ACCOUNTS;
export type AccountOf<S extends NatsServiceName> = (typeof SERVICE_ACCOUNTS)[S][number];
export const NATS_SERVICE_NAMES = Object.keys(SERVICE_ACCOUNTS) as NatsServiceName[];

/** One value for each service and each account that it works in. */
export type PerServiceUser<T> = { [S in NatsServiceName]: { [A in AccountOf<S>]: T } };

/** The account that holds a service's user: users and services never compete for the connections of one account. */
export function accountOf(place: AccountName): AccountName {
  return place === "APP" ? "DOOR" : place;
}

/** Fills a `PerServiceUser`. */
export function perServiceUser<T>(make: (service: NatsServiceName, account: AccountName) => T): PerServiceUser<T> {
  const entries = NATS_SERVICE_NAMES.map((service) => [
    service,
    Object.fromEntries(SERVICE_ACCOUNTS[service].map((account) => [account, make(service, account)])),
  ]);
  return Object.fromEntries(entries) as PerServiceUser<T>;
}

/** All values of a `PerServiceUser` with their places. */
export function serviceUsers<T>(
  users: PerServiceUser<T>,
): { service: NatsServiceName; account: AccountName; value: T }[] {
  return NATS_SERVICE_NAMES.flatMap((service) =>
    SERVICE_ACCOUNTS[service].map((account) => ({
      service,
      account,
      value: (users[service] as Partial<Record<AccountName, T>>)[account] as T,
    })),
  );
}

/** What crosses from one account to another. A `stream` flows to the importer; a `service` lets the importer publish into the exporter. */
type AccountExport = {
  kind: "stream" | "service";
  subject: string;
  from: AccountName;
  to: AccountName;
  why: string;
};

export function accountExports(clusterId: string): AccountExport[] {
  const { liveAll, queueAll, logAll, sysAll, apiAll, noticeAll } = subjectsOf(clusterId);
  return [
    {
      kind: "stream",
      subject: liveAll,
      from: "STORE",
      to: "APP",
      why: "record events as RECORDS republishes them; what a user publishes on `live` stays in APP and never looks like RECORDS' own",
    },
    {
      kind: "stream",
      subject: queueAll,
      from: "STORE",
      to: "APP",
      why: "queue entries as the bridge publishes them, for the dispatch role",
    },
    {
      kind: "service",
      subject: logAll,
      from: "STORE",
      to: "APP",
      why: "a container publishes its own log into LOGS; the acknowledgement comes back to a reply subject in APP",
    },
    {
      kind: "service",
      subject: sysAll,
      from: "STORE",
      to: "APP",
      why: "log lines of services that have a connection in APP only",
    },
    {
      kind: "stream",
      subject: apiAll,
      from: "APP",
      to: "DOOR",
      why: "requests of sessions for the gateway; a stream, so that the gateway sees the reply subject as its asker named it",
    },
    {
      kind: "stream",
      subject: noticeAll,
      from: "DOOR",
      to: "APP",
      why: "what authcallout tells a session",
    },
    {
      kind: "stream",
      subject: ALL_INBOXES,
      from: "DOOR",
      to: "APP",
      why: "the gateway's answers: each session may listen to its own inbox only",
    },
  ];
}

export { serviceInbox };

/** Allow lists. Never empty: nats-server reads an empty list as "everything". */
export type ServicePermissions = { publish: readonly string[]; subscribe: readonly string[] };

/** JetStream's API for reading one stream, in whatever way (pull, ordered, single messages); nothing that changes the stream. */
function reading(stream: StreamName): string[] {
  return [
    "$JS.API.INFO",
    `$JS.API.STREAM.INFO.${stream}`,
    `$JS.API.STREAM.MSG.GET.${stream}`,
    `$JS.API.DIRECT.GET.${stream}`,
    `$JS.API.DIRECT.GET.${stream}.>`,
    `$JS.API.CONSUMER.CREATE.${stream}`,
    `$JS.API.CONSUMER.CREATE.${stream}.>`,
    `$JS.API.CONSUMER.INFO.${stream}.>`,
    `$JS.API.CONSUMER.MSG.NEXT.${stream}.>`,
    `$JS.API.CONSUMER.DELETE.${stream}.>`,
    `$JS.ACK.${stream}.>`,
    // The second form of ack subjects (domain and account hash first), which a later server will switch to.
    `$JS.ACK.*.*.${stream}.>`,
  ];
}

/** What each service may do in each account it works in. */
export function servicePermissions(clusterId: string): PerServiceUser<ServicePermissions> {
  const subjects = subjectsOf(clusterId);
  const { graphAll, graphLogAll, graphBeat, barrierAll, barrierMark, barrierCut, logAll, queueAll, tailed } = subjects;
  const { sessionPlace, sessionEnded, sessionFlood } = subjects;
  const inbox = (service: NatsServiceName) => `${serviceInbox(service)}.>`;
  const graphFollower = [
    ...reading("GRAPH"),
    ...reading("BARRIER"),
    subjects.barrierLeases,
    subjects.barrierAllSettled,
  ];
  const graphFeed = [graphAll, graphBeat, barrierAll];
  return {
    authcallout: {
      SYS: {
        publish: [
          "$SYS.REQ.SERVER.PING",
          "$SYS.REQ.SERVER.PING.CONNZ",
          "$SYS.REQ.SERVER.*.CONNZ",
          "$SYS.REQ.SERVER.*.KICK",
        ],
        subscribe: [
          "$SYS.ACCOUNT.*.CONNECT",
          "$SYS.ACCOUNT.*.DISCONNECT",
          "$SYS.SERVER.*.CLIENT.AUTH.ERR",
          "$SYS.SERVER.*.STATSZ",
          "$SYS.SERVER.*.SHUTDOWN",
          "$SYS.SERVER.*.LAMEDUCK",
          inbox("authcallout"),
        ],
      },
      CORE: {
        publish: [
          "$SYS._INBOX.>",
          ...graphFollower,
          barrierCut,
          subjects.barrierServers,
          subjects.barrierAliases,
          sessionPlace,
          sessionEnded,
        ],
        subscribe: ["$SYS.REQ.USER.AUTH", ...graphFeed, sessionPlace, sessionFlood, inbox("authcallout")],
      },
      APP: { publish: [subjects.noticeAll], subscribe: [inbox("authcallout")] },
    },
    bridge: {
      CORE: {
        publish: [
          graphAll,
          graphLogAll,
          graphBeat,
          barrierMark,
          ...reading("GRAPH"),
          ...reading("GRAPHLOG"),
          ...reading("BARRIER"),
        ],
        subscribe: [barrierAll, inbox("bridge")],
      },
      STORE: {
        publish: [
          subjects.recordsAll,
          subjects.movedAll,
          queueAll,
          subjects.sysOf("bridge"),
          ...reading("RECORDS"),
          ...reading("QUEUE"),
          // The log follower: the logs of containers that do not publish them themselves.
          logAll,
          "$JS.API.STREAM.MSG.GET.LOGS",
          // `doctor` logs in as the bridge, and checks every stream.
          "$JS.API.STREAM.INFO.LOGS",
          "$JS.API.STREAM.INFO.SYSLOG",
        ],
        subscribe: [tailed, inbox("bridge")],
      },
    },
    gateway: {
      CORE: {
        publish: [...graphFollower, sessionFlood],
        subscribe: [...graphFeed, sessionEnded, inbox("gateway")],
      },
      STORE: {
        publish: [
          subjects.resync,
          tailed,
          subjects.sysOf("gateway"),
          ...reading("RECORDS"),
          ...reading("LOGS"),
          ...reading("QUEUE"),
        ],
        subscribe: [
          subjects.liveAll,
          logAll,
          queueAll,
          "$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.RECORDS",
          inbox("gateway"),
        ],
      },
      // Answers go to the asking session's inbox only; that check is the gateway's own, since a subject cannot express it.
      APP: { publish: [ALL_INBOXES], subscribe: [subjects.apiAll, subjects.noticeAll, inbox("gateway")] },
    },
    streams: {
      CORE: { publish: streamsAdmin("CORE"), subscribe: [inbox("streams")] },
      STORE: { publish: streamsAdmin("STORE"), subscribe: [inbox("streams")] },
    },
  };
}

/** Create, read and update. Deleting, purging and message access are left out, so that no bug of `apply` can destroy anything. */
function streamsAdmin(account: StreamAccount): string[] {
  const names = STREAM_NAMES.filter((name) => STREAMS[name] === account);
  return [
    "$JS.API.INFO",
    ...names.flatMap((name) => ["INFO", "CREATE", "UPDATE"].map((verb) => `$JS.API.STREAM.${verb}.${name}`)),
  ];
}
