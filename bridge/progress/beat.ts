/** A beat of the bridge: when it comes, and the message that says up to which moment GRAPH is complete. */
import type { NatsConnection } from "@nats-io/nats-core";
import type { Revision } from "../../core/revision.ts";
import type { Subjects } from "../../core/subjects.ts";

const BEAT_MS = 500;

/** Runs the work at once and then BEAT_MS after each end; after an error no more. Returns what stops it. */
export function repeat(work: () => Promise<void>, onError: (error: unknown) => void): () => void {
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  const round = async (): Promise<void> => {
    try {
      await work();
      if (!stopped) timer = setTimeout(() => void round(), BEAT_MS);
    } catch (error) {
      if (!stopped) onError(error);
    }
  };
  void round();
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}

/** Up to which moment and at which revision GRAPH is complete. The message is not stored. */
export function publishBeat(core: NatsConnection, subjects: Subjects, time: number | null, revision: Revision): void {
  if (time !== null) core.publish(subjects.graphBeat, JSON.stringify({ time, revision }));
}
