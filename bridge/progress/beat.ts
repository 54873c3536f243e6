/** What a beat of the bridge takes: its time, and saying up to when the graph is complete. */
import type { NatsConnection } from "@nats-io/nats-core";
import type { Revision } from "../../core/revision.ts";
import type { Subjects } from "../../core/subjects.ts";

export const BEAT_MS = 500;

/** Runs the work every BEAT_MS, one at a time. Returns what stops it. */
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

/** Says up to when the graph is complete, and at which revision. Not stored. */
export function sayBeat(core: NatsConnection, subjects: Subjects, time: number | null, revision: Revision): void {
  if (time !== null) core.publish(subjects.graphBeat, JSON.stringify({ time, revision }));
}
