/** The whole product for end-to-end tests, with a witness that sees every event: the admin, over a native connection. */

import type { NatsConnection } from "@nats-io/nats-core";
import { connect } from "@nats-io/transport-node";
import { type Client, connectOptions, createClient, type LiveEvent, sessionId } from "../../../client/mod.ts";
import { Demo } from "../../../dev/demo-routes.ts";
import { type Stack, type StackOptions, startStack } from "../../../dev/stack.ts";
import { until } from "../../../dev/testing/until.ts";
import { createLog, silentLog } from "../../../runtime/log/log.ts";
import { createScope } from "../../../runtime/scope.ts";
import { inSpiteOfStalls } from "../servers/stalls.ts";

export type StackListener = {
  events: LiveEvent[];
  /** Resolves with the first event about the object from `after` on. */
  event(object: string, after?: number): Promise<LiveEvent>;
};

export type TestStack = Stack &
  AsyncDisposable & {
    demo: Demo /** `options` come on top of those that a client would use. */;
    connectClient(token: string): Promise<Client>;
    /** A bare connection that does not come back: what a client of no manners has. */
    connectBare(token: string, url?: string): Promise<NatsConnection>;
    witness(): Promise<StackListener>;
  };

/** Set to see what the services say. */
const LOG = process.env.TEST_LOG;

export async function startTestStack(options: Partial<StackOptions> = {}): Promise<TestStack> {
  const scope = createScope();
  try {
    const log = LOG ? createLog({ level: "debug" }) : silentLog();
    const stack = await startStack({ scope, log, ...options });
    const connectBare = (token: string, url = stack.nats.url) =>
      inSpiteOfStalls(async () =>
        connect({ servers: url, ...(await connectOptions(token, sessionId())), reconnect: false }),
      );
    const connectClient = async (token: string) => {
      const sid = sessionId();
      const options = { servers: stack.nats.url, ...(await connectOptions(token, sid)) };
      const nc = await inSpiteOfStalls(() => connect(options));
      scope.defer("a client's connection", () => nc.close());
      return createClient({ nc, clusterId: stack.config.clusterId, token, sid });
    };
    const witness = async (): Promise<StackListener> => {
      const client = await connectClient(stack.cluster.users.admin.token.v2);
      const events: LiveEvent[] = [];
      const listener = client.events({ onEvent: (event) => void events.push(event) });
      await listener.ready;
      return {
        events,
        event: (object, after = 0) =>
          until(() => events.slice(after).find(({ event }) => event.object_uuid === object), `event about ${object}`),
      };
    };
    return {
      ...stack,
      demo: new Demo(stack.arvados, stack.cluster),
      connectClient,
      connectBare,
      witness,
      [Symbol.asyncDispose]: () => scope.close(),
    };
  } catch (error) {
    await scope.close();
    throw error;
  }
}
