/** A native client of one user that writes down all it gets, and signs in again whenever it is cut, with whatever token is good then. */
import type { Msg, NatsConnection } from "@nats-io/nats-core";
import { connect } from "@nats-io/transport-node";
import { ask } from "../../client/ask.ts";
import { connectOptions, sessionId, sessionKey } from "../../client/mod.ts";
import { CLOSE_CODES } from "../../core/close-codes.ts";
import { parseLsn } from "../../core/lsn.ts";
import { atLeast, parseRevision, type Revision } from "../../core/revision.ts";
import type { Subjects } from "../../core/subjects.ts";
import { HEADER, type Notice, type RecordEvent, type WhoamiAnswer } from "../../core/wire/wire.ts";
import { until, within } from "../../dev/testing/until.ts";
import type { Heard, RecordedSession } from "./checker.ts";

export type RecorderOptions = {
  name: string;
  user: string;
  urls: () => string[];
  subjects: Subjects;
  /** A token of the user's that should be good now; null = there is none. */
  token: () => string | null;
  /** Changes a collection of the user's own, which nobody else writes to. */
  mark: () => Promise<void>;
  marker: string;
  /** Logs in again at a notice that its rights grew or moved; otherwise it keeps its grants until it is cut. */
  heeds: boolean;
};

export type Recorder = {
  readonly name: string;
  readonly heeds: boolean;
  /** All sessions since they were last taken; one that lives is among them. */
  take(): RecordedSession[];
  /** Resolves once there is a session that has what is granted now, for good while nobody writes. */
  settled(): Promise<void>;
  /** Resolves once all has come that is committed now. */
  caughtUp(): Promise<void>;
  stop(): Promise<void>;
};

const PAUSE_MS = 25;
const MARK_AGAIN_MS = 500;
const ASK_MS = 2_000;
const SETTLE_MS = 30_000;
const STOP_MS = 30_000;

type Open = {
  nc: NatsConnection;
  log: RecordedSession;
  whoami: () => Promise<WhoamiAnswer>;
  revision: Revision | null;
};

export function startRecorder(options: RecorderOptions): Recorder {
  const { name, token, mark, marker, heeds } = options;
  /** Those that were cut while they subscribed are among them: what reached them is judged too. */
  let opened: Open[] = [];
  let current: Open | null = null;
  let stopped = false;
  /** For the error of a wait that ends in vain. */
  let state = "begins";

  /** Has the marker changed until an event about it comes, from which on the session is known to be in force. */
  const marked = async (open: Open): Promise<boolean> => {
    const before = open.log.heard.length;
    const came = () => open.log.heard.slice(before).find(({ object }) => object === marker);
    while (!open.nc.isClosed() && !stopped) {
      await mark();
      await until(() => came() || open.nc.isClosed() || stopped, "the marker", MARK_AGAIN_MS).catch(() => null);
      const event = came();
      if (event) open.log.since ??= event.lsn;
      if (event) return true;
    }
    return false;
  };
  const run = async () => {
    while (!stopped) {
      const good = token();
      state = good === null ? "has no token" : "signs in";
      const failed = (error: unknown) => {
        state = `could not sign in: ${error}`;
        return null;
      };
      const open = good === null ? null : await openSession(options, good, (one) => opened.push(one)).catch(failed);
      if (!open) {
        await pause();
        continue;
      }
      current = open;
      state = "waits for its marker";
      if (await marked(open)) state = "listens";
      // It may have been opened while we were stopped.
      if (stopped) await open.nc.close();
      await open.nc.closed();
      open.log.lives = false;
      current = null;
    }
  };
  const running = run();
  running.catch(() => {}); // Told by stop().
  /** The session that lives, once its marker has come again: all that was committed before has come by then. */
  const afterMark = async (): Promise<Open | null> => {
    const open = current;
    return open && open.log.since !== null && (await marked(open)) && open === current ? open : null;
  };
  return {
    name,
    heeds,
    take() {
      const taken = opened.map(({ log }) => log);
      opened = opened.filter(({ log }) => log.lives);
      // What comes from now on belongs to the next round.
      for (const open of opened) open.log = { ...open.log, heard: [] };
      return taken;
    },
    async settled() {
      const hasAll = async () => {
        const open = await afterMark();
        const who = await open?.whoami().catch(() => null);
        if (!open || !who || open !== current) return false;
        const granted = livePatterns(who, options.subjects);
        const seen = parseRevision(who.revision);
        state = `listens to ${open.log.patterns.length} patterns, has ${granted.length} of revision ${who.revision}`;
        if (!seen || !open.revision || !atLeast(seen, open.revision)) return false;
        return !heeds || granted.join() === [...open.log.patterns].sort().join();
      };
      await until(hasAll, () => `${name} to have what is granted: ${state}`, SETTLE_MS);
    },
    async caughtUp() {
      await until(
        async () => (await afterMark()) !== null,
        () => `${name} to hear its marker: ${state}`,
        SETTLE_MS,
      );
    },
    async stop() {
      stopped = true;
      await current?.nc.close();
      await within(running, () => `${name} to end: ${state}`, STOP_MS);
    },
  };
}

/** `onOpen`: it may hear something from then on. */
async function openSession(options: RecorderOptions, token: string, onOpen: (open: Open) => void): Promise<Open> {
  const { name, user, urls, subjects, heeds } = options;
  const sid = sessionId();
  const key = await sessionKey(token, sid);
  const nc = await connect({ servers: urls(), ...(await connectOptions(token, sid)), reconnect: false });
  const log: RecordedSession = {
    user,
    name,
    opened: Date.now(),
    patterns: [],
    since: null,
    heard: [],
    lives: true,
    heeds,
  };
  const whoami = () => ask<WhoamiAnswer>(nc, subjects.api(key, "whoami"), {}, ASK_MS);
  const open: Open = { nc, log, whoami, revision: null };
  onOpen(open);
  let refused = false;
  nc.subscribe(subjects.notice(key), {
    callback(error, message) {
      if (error || !heeds) return;
      const { code } = message.json<Notice>();
      if (code === CLOSE_CODES.permissionsGrown.code || code === CLOSE_CODES.objectsMoved.code) void nc.close();
    },
  });
  try {
    for (const pattern of livePatterns(await whoami(), subjects)) {
      log.patterns.push(pattern);
      nc.subscribe(pattern, {
        callback(error, message) {
          if (error) {
            refused = true;
            return;
          }
          const heard = heardIn(message);
          if (!heard) return;
          open.revision = parseRevision(message.headers?.get(HEADER.revision) ?? "");
          open.log.heard.push({ ...heard, pattern, at: Date.now() });
        },
      });
    }
    // A flush of what is closed meanwhile never ends.
    if (await Promise.race([nc.closed().then(() => true), nc.flush()])) throw new Error("cut while subscribing");
    // The login is older than the answer.
    if (refused) throw new Error("a granted pattern was refused");
  } catch (error) {
    await nc.close();
    open.log.lives = false;
    throw error;
  }
  return open;
}

function livePatterns({ grants }: WhoamiAnswer, { live }: Subjects): string[] {
  return grants.subscribe.filter((pattern) => pattern.startsWith(live(""))).sort();
}

type Message = Pick<Msg, "subject" | "data"> & { headers?: Msg["headers"] | undefined };

/** The event in a message, or null for what is none (resync). */
export function heardIn({ subject, headers, data }: Message): Heard | null {
  const lsn = headers?.get(HEADER.lsn);
  if (!headers || !lsn) return null;
  const { object_uuid, event_type } = JSON.parse(new TextDecoder().decode(data)) as RecordEvent;
  return {
    subject,
    sequence: Number(headers.get("Nats-Sequence")),
    lsn: parseLsn(lsn),
    eventId: headers.get(HEADER.eventId),
    object: object_uuid,
    type: event_type,
  };
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
}
