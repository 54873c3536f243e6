/**
 * A lame duck announces its shutdown some seconds before it closes connections. A replica that answers logins over such a server moves
 * to another one in that time. It answers what it has received first, because a lost login is refused.
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

/** Replicas on one server hear of it together and must not leave together: the leader moves first, and is back when the others move. */
const LEADER_WITHIN_MS = 500;
/** The leader has read the graph again and holds a lease by then, and nats-server's grace period (5 s) is not over. */
const OTHERS_MS = { from: 4_000, to: 4_800 };

export function moveFromLameDucks(parts: LameDuckParts): void {
  const { core, log } = parts;
  void (async () => {
    for await (const status of core.status()) {
      if (status.type !== "ldm") continue;
      await moveAway(parts).catch((error: unknown) => {
        log.warn(
          { reason: reasonOf(error) },
          "moving to another nats-server failed; the client library reconnects when this one closes",
        );
      });
    }
  })();
}

async function moveAway({ core, group, leads, signal, random }: LameDuckParts): Promise<void> {
  const leaving = core.info?.server_id;
  await sleep(moveAfter(leads(), random()), signal);
  // The server has already closed the connection, or has announced its shutdown twice.
  if (signal.aborted || core.info?.server_id !== leaving) return;
  await group.leave();
  // The answers are sent before the connection closes.
  await core.flush();
  // `ServingLoop` joins again.
  await core.reconnect();
}

/** Milliseconds. */
function moveAfter(leads: boolean, chance: number): number {
  return leads ? chance * LEADER_WITHIN_MS : OTHERS_MS.from + chance * (OTHERS_MS.to - OTHERS_MS.from);
}
