/**
 * A nats-server that is about to shut down says so (lame duck) some seconds before it closes connections. A replica that takes logins
 * over such a server goes to another one while it still can, and answers first what it was asked: a login that is lost would be refused.
 */
import type { NatsConnection } from "@nats-io/nats-core";
import { reasonOf } from "../../core/errors.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { sleep } from "../../runtime/sleep.ts";
import type { QueueGroup } from "./queue-group.ts";

export type LameDuckParts = {
  core: NatsConnection;
  group: QueueGroup;
  leads: () => boolean;
  signal: AbortSignal;
  /** Of [0, 1). */
  random: () => number;
  log: Logger;
};

/** Replicas on one server are told at the same time and must not leave together: the leader goes first, and is back when others go. */
const LEADER_WITHIN_MS = 500;
/** When the leader has read the graph over its new server and holds a lease again, and before nats-server's grace period (5 s) is over. */
const OTHERS_MS = { from: 4_000, to: 4_800 };

export function moveFromLameDucks(parts: LameDuckParts): void {
  const { core, log } = parts;
  void (async () => {
    for await (const status of core.status()) {
      if (status.type !== "ldm") continue;
      await moveAway(parts).catch((error: unknown) => {
        log.warn({ reason: reasonOf(error) }, "did not leave a nats-server that shuts down before it did");
      });
    }
  })();
}

async function moveAway({ core, group, leads, signal, random }: LameDuckParts): Promise<void> {
  const leaving = core.info?.server_id;
  await sleep(moveAfter(leads(), random()), signal);
  // It may have been quicker, or has said it twice.
  if (signal.aborted || core.info?.server_id !== leaving) return;
  await group.leave();
  // Its answers are on their way before the connection is gone.
  await core.flush();
  // `ServingLoop` joins again.
  await core.reconnect();
}

/** Milliseconds. */
function moveAfter(leads: boolean, chance: number): number {
  return leads ? chance * LEADER_WITHIN_MS : OTHERS_MS.from + chance * (OTHERS_MS.to - OTHERS_MS.from);
}
