/** One user of the page: a session, and the panel that shows what it sees. */
import type { Client, LiveEvent, TailEnd } from "../../client/mod.ts";
import type { Notice } from "../../core/wire/wire.ts";
import type { LogView } from "./log-view.ts";
import type { Panel } from "./panel.ts";
import { runSession, type SessionStatus } from "./session.ts";

const LAST_MESSAGES = 20;

export type ParticipantOptions = {
  panel: Panel;
  websocketUrl: string;
  clusterId: string;
  token: string;
  persistent: boolean;
  container?: { uuid: string; file: string };
  onEvent?(event: LiveEvent, ms: number | null): void;
  onNotice?(notice: Notice): void;
  onPatterns?(patterns: readonly string[]): void;
};

/** Resolves with the last status when the session has ended. */
export async function participate(options: ParticipantOptions): Promise<SessionStatus> {
  const { panel, container } = options;
  const log = container === undefined ? null : panel.log();
  let last: SessionStatus = "connecting";
  await runSession({
    ...options,
    onStatus(status, who) {
      last = status;
      panel.become(status, who);
    },
    onClient(client) {
      client.notices((notice) => {
        panel.notice(notice);
        options.onNotice?.(notice);
      });
      client.events({
        onEvent(event) {
          const ms = panel.event(event);
          options.onEvent?.(event, ms);
        },
        onPatterns(patterns) {
          panel.listensTo(patterns);
          options.onPatterns?.(patterns);
        },
      });
      if (container !== undefined && log !== null) followLog(client, container, log);
    },
  });
  return last;
}

/** Reads the log whenever the session may: after an end for want of a right, each change of rights is worth a try. */
function followLog(client: Client, { uuid, file }: { uuid: string; file: string }, log: LogView): void {
  let reading = false;
  let next: number | null = null;

  const read = () => {
    reading = true;
    let cutOff = next !== null;
    const tail = client.tail({
      container: uuid,
      file,
      from: next ?? { last: LAST_MESSAGES },
      onBytes(bytes) {
        if (cutOff) log.mark("may be read again");
        cutOff = false;
        log.become("live", `${file}, live`);
        log.append(bytes);
      },
      onGap: (from, to) => log.mark(`bytes ${from} to ${to} are no longer held`),
      onEnd(end) {
        reading = false;
        if (next === null || (tail.next() ?? 0) > next) next = tail.next();
        if (end.notice === "readRevoked") log.mark("cut off: the right to read this is gone");
        log.become("ended", endText(end, next !== null));
      },
    });
  };

  log.become("waiting", `${file}, waiting`);
  client.watch((status) => {
    if (status === "following" && !reading) read();
  });
}

function endText({ notice, reason }: TailEnd, hadBegun: boolean): string {
  if (notice === "readRevoked" || (notice === "refused" && hadBegun)) return "cut off: may no longer be read";
  return notice === "refused" ? "may not be read" : reason;
}
