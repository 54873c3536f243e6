/**
 * Makes events of type `silent` for changes that have no log row, or for all where Arvados' audit logging is off: only where a shown value
 * changed. The default replica identity has no former row, so the last seen values of each object are remembered, up to a bound. An object that
 * was not seen lately counts as changed, and its former owner is not known.
 */
import { keepNewest } from "../../core/keep-newest.ts";
import { isUuid, kindOf } from "../../core/uuid.ts";
import { type RowValues, textOrNull } from "../postgres/row.ts";
import type { EventToRoute } from "../rows/event.ts";
import type { GraphRowSet } from "../rows/graph-row-set.ts";
import type { LogRow } from "../rows/log-row.ts";
import { factsOfRow } from "../rows/object-facts.ts";
import { SpillIndex } from "../spill/spill-index.ts";
import type { SpillList } from "../spill/spill-list.ts";
import type { Commit } from "./commit.ts";

const REMEMBERED = 100_000;
/** Of the published columns (`tables.ts`), those that an event shows. */
const SHOWN = ["uuid", "owner_uuid", "state"] as const;
/** Also worth an event, but not shown. */
const COMPARED = [
  ...SHOWN,
  "trash_at",
  "name",
  "tail_uuid",
  "head_uuid",
  "is_active",
  "is_admin",
  "expires_at",
] as const;

type SeenObject = { owner: string | null; signature: string };

export class SilentChanges {
  /** In the order of their last change. */
  readonly #seen = new Map<string, SeenObject>();

  *eventsOf(commit: Commit, state: GraphRowSet): Generator<EventToRoute[], void, void> {
    const logged = loggedIn(commit.logs);
    try {
      yield* this.#unlogged(commit, state, logged.is);
    } finally {
      logged.close();
    }
  }

  *#unlogged(
    commit: Commit,
    state: GraphRowSet,
    isLogged: (uuid: string) => boolean,
  ): Generator<EventToRoute[], void, void> {
    for (const { table, op, row } of commit.rows) {
      if (row === null) continue;
      const uuid = String(row.uuid);
      const before = this.#seen.get(uuid);
      const now = this.#remember(uuid, row);
      if (isLogged(uuid) || !isUuid(uuid) || before?.signature === now.signature) {
        yield [];
        continue;
      }
      const facts = factsOfRow(uuid, table, row, state);
      const event = {
        event_type: "silent",
        object_uuid: uuid,
        object_kind: kindOf(table),
        object_owner_uuid: facts.owner,
        event_at: new Date(commit.time).toISOString(),
        attributes: Object.fromEntries(
          SHOWN.filter((name) => row[name] !== undefined).map((name) => [name, row[name]]),
        ),
      };
      const present: EventToRoute = { event, facts };
      if (op === "update" && !before) present.gap = true;
      if (before?.owner && before.owner !== now.owner) {
        const left = { ...event, event_type: "left", object_owner_uuid: before.owner, attributes: { uuid } };
        yield [{ event: left, facts, left: before.owner }, present];
      } else yield [present];
    }
  }

  #remember(uuid: string, row: RowValues): SeenObject {
    const seen = {
      owner: textOrNull(row.owner_uuid),
      signature: COMPARED.map((name) => String(row[name])).join("\n"),
    };
    keepNewest(this.#seen, REMEMBERED, uuid, seen);
    return seen;
  }
}

/** Whether there is a log row about an object. A spilled list is read through an index. */
function loggedIn(logs: SpillList<LogRow>): { is: (uuid: string) => boolean; close: () => void } {
  if (!logs.isSpilled) {
    const logged = new Set<string>();
    for (const { object_uuid } of logs) logged.add(object_uuid);
    return { is: (uuid) => logged.has(uuid), close() {} };
  }
  const index = new SpillIndex();
  for (const [offset, { object_uuid }] of logs.entries()) index.add(object_uuid, offset);
  index.seal();
  const is = (uuid: string) => index.find(uuid).some((offset) => logs.at(offset).object_uuid === uuid);
  return { is, close: () => index.close() };
}
