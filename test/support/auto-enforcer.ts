/** Stands in for authcallout where a test is about the bridge alone: whatever barrier is marked is cut at once, for there are no sessions. */
import type { TestNats } from "./nats.ts";

export async function startAutoEnforcer(nats: TestNats): Promise<{ close(): Promise<void> }> {
  const nc = await nats.connect("authcallout", "CORE", {
    reconnect: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 50,
  });
  const { barrierMark, barrierCut } = nats.subjects;
  nc.subscribe(barrierMark, {
    callback: (error, message) => {
      if (!error) nc.publish(barrierCut, message.data);
    },
  });
  await nc.flush();
  return { close: () => nc.close() };
}
