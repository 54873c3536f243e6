/**
 * Turns a commit's routed events into units of messages: one unit where it fits, otherwise numbered parts. Pure and lazy, so that only one
 * part of a huge commit is in memory as messages. `CommitHandler` calls it.
 */
import { formatLsn, type Lsn } from "../../core/lsn.ts";
import { formatRevision, type Revision } from "../../core/revision.ts";
import type { Subjects } from "../../core/subjects.ts";
import { HEADER, type RecordEvent } from "../../core/wire/wire.ts";
import type { Message, MovedBody } from "./publisher.ts";

export type RoutedEvent = {
  event: RecordEvent;
  /** Its number within the commit, independent of routes: a repeated commit gives the same numbers. */
  ordinal: number;
  /** Full subjects. Empty: nobody may read it. */
  subjects: string[];
  /** The object has left these subjects, or its former owner is not known. */
  moved?: "left" | "unknown";
};

export type CommitFrame = {
  epoch: number;
  lsn: Lsn;
  time: number;
  revision: Revision;
  /** Bytes of a body that nats-server accepts. */
  maxBody: number;
};

/** The last event in RECORDS, the subjects under which it is stored, and whether its commit is stored to its end. */
export type StoredEvent = { lsn: Lsn; ordinal: number; subjects: ReadonlySet<string>; isWhole: boolean };

/** More copies are sent as a batch, which costs some milliseconds once and less for each message. */
const MAX_COPIES = 16;

/**
 * The copies of a commit's only event need not appear at once, because each subject has the whole event. So they are numbered and sent one by
 * one: an atomic batch would delay all later messages.
 * @param stored the last event of this commit in RECORDS, where RECORDS holds a part of the commit
 */
export async function* unitsOf(
  frame: CommitFrame,
  events: AsyncIterable<RoutedEvent> | Iterable<RoutedEvent>,
  subjects: Pick<Subjects, "moved">,
  limit: number,
  stored: StoredEvent | null = null,
): AsyncGenerator<Message[], void, void> {
  const common = commonHeaders(frame);
  let unit: Message[] = [];
  let part = stored ? 1 : 0;
  const closed = (isLast: boolean): Message[] => {
    const messages = unit;
    unit = [];
    if (isLast && part === 0) return messages;
    const header = isLast ? "last" : String(++part);
    return messages.map((message) => ({ ...message, headers: { ...message.headers, [HEADER.part]: header } }));
  };
  const begun = part;
  let count = 0;
  let copies: Message[] = [];
  for await (const routed of events) {
    if (routed.subjects.length === 0) continue;
    count++;
    if (stored && routed.ordinal < stored.ordinal) continue;
    const isPartlyThere = stored?.ordinal === routed.ordinal;
    const whole = isPartlyThere && routed.moved ? { ...routed, moved: "unknown" as const } : routed;
    const all = messagesOf(common, whole, subjects, frame.maxBody);
    copies = count === 1 && !routed.moved ? all : [];
    const messages = isPartlyThere ? all.filter(({ subject }) => !stored.subjects.has(subject)) : all;
    // An event's copies stay together where they can.
    if (unit.length > 0 && unit.length + messages.length > limit) yield closed(false);
    for (const message of messages) {
      if (unit.length === limit) yield closed(false);
      unit.push(message);
    }
  }
  if (unit.length === 0) return;
  const goOneByOne = part === begun && copies.length > 1 && copies.length <= MAX_COPIES;
  yield goOneByOne ? unit.map((message) => numbered(message, copies)) : closed(true);
}

function numbered(message: Message, copies: readonly Message[]): Message {
  const position = `${copies.indexOf(message) + 1}/${copies.length}`;
  return { ...message, headers: { ...message.headers, [HEADER.copy]: position } };
}

/** May these messages appear one after the other? */
export function areCopies(messages: readonly Message[]): boolean {
  return messages[0]?.headers[HEADER.copy] !== undefined;
}

/** The headers of all messages of a commit. */
function commonHeaders({ epoch, lsn, time, revision }: CommitFrame): Record<string, string> {
  return {
    [HEADER.epoch]: String(epoch),
    [HEADER.lsn]: formatLsn(lsn),
    [HEADER.commitTime]: new Date(time).toISOString(),
    [HEADER.revision]: formatRevision(revision),
  };
}

function messagesOf(
  common: Record<string, string>,
  { event, ordinal, subjects: names, moved }: RoutedEvent,
  subjects: Pick<Subjects, "moved">,
  maxBody: number,
): Message[] {
  const headers = {
    ...common,
    [HEADER.ordinal]: String(ordinal),
    [HEADER.eventId]: `${common[HEADER.lsn]}:${ordinal}`,
  };
  const text = bodyOf(event, maxBody);
  const messages: Message[] = names.map((subject) => ({ subject, headers, body: text }));
  if (!moved) return messages;
  const subject = names[0] as string;
  // After the last event on the old path and in the same unit, so that the event's sequence follows from this one.
  const body: MovedBody = moved === "left" ? { left: subject, before: names.length } : { left: null };
  messages.push({ subject: subjects.moved(event.object_uuid), headers, body });
  return messages;
}

/** An event that is too long for nats-server only names its object. */
function bodyOf(event: RecordEvent, maxBody: number): string {
  const text = JSON.stringify(event);
  if (Buffer.byteLength(text) <= maxBody) return text;
  const { properties, ...rest } = event;
  return JSON.stringify({ ...rest, attributes: {} });
}
