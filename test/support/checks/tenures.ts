/** Since when each replica of authcallout has led or stood in line, by what BARRIER holds. */
import { jetstreamManager } from "@nats-io/jetstream";
import { connect, nkeyAuthenticator } from "@nats-io/transport-node";
import { parseBarrierEntry } from "../../../core/barrier/entry.ts";
import { subjectsOf } from "../../../core/subjects.ts";
import { until } from "../../../dev/testing/until.ts";
import { serviceInbox } from "../../../streams-config/accounts.ts";
import type { TestStack } from "../worlds/stack.ts";

/** BARRIER's sequence of the first lease of the replica's unbroken tenure: of those that are there the smallest leads. */
export type TenureOf = (replica: string) => Promise<number>;

export async function openTenures({ config, nats }: TestStack): Promise<TenureOf & AsyncDisposable> {
  const seed = new TextEncoder().encode(config.nkeys.bridge.CORE);
  const options = { authenticator: nkeyAuthenticator(seed), inboxPrefix: serviceInbox("bridge"), reconnect: false };
  const nc = await connect({ servers: nats.url, ...options });
  const jsm = await jetstreamManager(nc);
  const { barrierLease } = subjectsOf(config.clusterId);
  const tenureOf: TenureOf = (replica) =>
    until(async () => {
      const last = await jsm.streams.getMessage("BARRIER", { last_by_subj: barrierLease(replica) });
      const entry = parseBarrierEntry(last?.string() ?? "");
      return entry?.kind === "lease" ? (entry.since ?? last?.seq) : null;
    }, `a lease of ${replica}`);
  return Object.assign(tenureOf, { [Symbol.asyncDispose]: () => nc.close() });
}
