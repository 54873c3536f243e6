/** A real nats-server for a test, or three: keys and configuration made, streams applied, gone at the end of the block (`await using`). */

import { jetstreamManager } from "@nats-io/jetstream";
import type { ConnectionOptions, NatsConnection } from "@nats-io/nats-core";
import { connect, nkeyAuthenticator } from "@nats-io/transport-node";
import { type Subjects, subjectsOf } from "../../../core/subjects.ts";
import { startNatsCluster } from "../../../dev/servers/nats-cluster.ts";
import { type NatsServer, startNatsServer } from "../../../dev/servers/nats-server.ts";
import {
  type AccountName,
  type AccountOf,
  type NatsServiceName,
  serviceInbox,
} from "../../../streams-config/accounts.ts";
import { applyStreams } from "../../../streams-config/apply.ts";
import { generateKeys, type Nkey, publicKeys, type ServiceKeys } from "../../../streams-config/keys.ts";
import type { ServerLimits } from "../../../streams-config/server-conf.ts";
import { declaredStreams, type StreamProfile } from "../../../streams-config/streams.ts";
import { inSpiteOfStalls } from "./stalls.ts";

export type NatsOptions = {
  /** Default `zzzzz`. */
  clusterId?: string;
  /** Default 1. Streams then have three copies. */
  servers?: 1 | 3;
  /** Default true: the declared streams are there. */
  streams?: boolean;
  limits?: Partial<ServerLimits>;
  /** Sizes of the streams; default: small. */
  profile?: Partial<StreamProfile>;
  /** Servers tell clients each other's addresses; default false, as we configure them. */
  advertise?: boolean;
  /** Connections of services have this `reconnect`; default false, so that a lost server is an error at once. */
  reconnect?: boolean;
};

export type TestNats = AsyncDisposable & {
  /** The first of `servers`. */
  server: NatsServer;
  servers: readonly NatsServer[];
  keys: ServiceKeys;
  clusterId: string;
  subjects: Subjects;
  /** A service's connection in one of its accounts, with its inbox prefix; closed at the end. */
  connect<S extends NatsServiceName>(
    service: S,
    account: AccountOf<S>,
    options?: ConnectionOptions,
  ): Promise<NatsConnection>;
  /** A connection with a token, as a user: the callout decides. Closed at the end. */
  connectUser(options?: ConnectionOptions): Promise<NatsConnection>;
};

/** Small enough for many tests at once on one disk. */
const TEST_PROFILE: StreamProfile = {
  replicas: 1,
  recordsBytes: 256 * 1024 * 1024,
  logsBytes: 256 * 1024 * 1024,
  graphLogBytes: 64 * 1024 * 1024,
  syslogBytes: 64 * 1024 * 1024,
  maxMsgSize: 1024 * 1024,
};

export async function startNats(options: NatsOptions = {}): Promise<TestNats> {
  const {
    clusterId = "zzzzz",
    servers: size = 1,
    streams = true,
    limits = {},
    profile = {},
    reconnect = false,
    advertise = false,
  } = options;
  const keys = generateKeys();
  const conf = { clusterId, keys: publicKeys(keys), limits };
  const servers =
    size === 1 ? [await startNatsServer({ conf })] : (await startNatsCluster(conf, size, { advertise })).servers;
  const open: NatsConnection[] = [];
  const opened = async (connecting: Promise<NatsConnection>): Promise<NatsConnection> => {
    const connection = await connecting;
    open.push(connection);
    return connection;
  };
  const connectService = (service: NatsServiceName, account: AccountName, more: ConnectionOptions = {}) =>
    opened(
      inSpiteOfStalls(() =>
        connect({
          servers: servers.map(({ url }) => url),
          name: service,
          inboxPrefix: serviceInbox(service),
          authenticator: nkeyAuthenticator(new TextEncoder().encode(seedOf(keys, service, account))),
          reconnect,
          ...more,
        }),
      ),
    );
  const dispose = async (): Promise<void> => {
    await Promise.all(open.map((connection) => connection.close()));
    await Promise.all(servers.map((server) => server.stop()));
  };
  try {
    if (streams) {
      const [CORE, STORE] = await Promise.all([connectService("streams", "CORE"), connectService("streams", "STORE")]);
      const sizes = { ...TEST_PROFILE, replicas: size, ...profile };
      await applyStreams({ CORE, STORE }, declaredStreams({ clusterId, profile: sizes }));
    }
  } catch (error) {
    await dispose();
    throw error;
  }
  const server = servers[0] as NatsServer;
  return {
    server,
    servers,
    keys,
    clusterId,
    subjects: subjectsOf(clusterId),
    connect: connectService,
    connectUser: (more = {}) =>
      opened(inSpiteOfStalls(() => connect({ servers: server.url, reconnect: false, ...more }))),
    [Symbol.asyncDispose]: dispose,
  };
}

function seedOf(keys: ServiceKeys, service: NatsServiceName, account: AccountName): string {
  const nkey = (keys.users[service] as Partial<Record<AccountName, Nkey>>)[account];
  if (!nkey) throw new RangeError(`${service} does not work in ${account}`);
  return nkey.seed;
}

/** How many messages a stream holds, as its account's gateway or bridge sees it. */
export async function messageCount(connection: NatsConnection, stream: string): Promise<number> {
  const manager = await jetstreamManager(connection);
  return (await manager.streams.info(stream)).state.messages;
}
