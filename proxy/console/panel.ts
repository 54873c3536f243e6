/** What one session sees: its status, its rights, its events, its log. Draws, and knows nothing of connections. */
import type { LiveEvent } from "../../client/mod.ts";
import type { Notice, WhoamiAnswer } from "../../core/wire/wire.ts";
import { element, find, medianOrNull, milliseconds, part } from "./dom.ts";
import { eventRow, noticeRow } from "./event-row.ts";
import { createLogView, type LogView } from "./log-view.ts";
import type { SessionStatus } from "./session.ts";

const MAX_ROWS = 100;
const MAX_LATENCIES = 200;

const STATUS_TEXT: Record<SessionStatus, string> = {
  connecting: "connecting",
  following: "live",
  disconnected: "reconnecting",
  refused: "refused",
  unreachable: "no connection",
  ended: "ended",
};

export type Panel = {
  readonly element: HTMLElement;
  become(status: SessionStatus, who: WhoamiAnswer | null): void;
  listensTo(patterns: readonly string[]): void;
  /** Returns the milliseconds from commit to here. */
  event(event: LiveEvent): number | null;
  notice(notice: Notice): void;
  /** Opens the box for a log. */
  log(): LogView;
};

/** `user` colours the panel; `names` is shared between panels and grows with what events say. */
export function createPanel(user: string, names: Map<string, string>, empty: string): Panel {
  const template = find<HTMLTemplateElement>(document, "#panel");
  const root = find(template.content.cloneNode(true) as DocumentFragment, ".panel");
  root.dataset.testid = `panel-${user}`;
  root.dataset.user = user;
  const heading = find(root, "h2");
  heading.id = `panel-${user}-name`;
  heading.textContent = user;
  root.setAttribute("aria-labelledby", heading.id);
  find(root, ".avatar").textContent = user.slice(0, 1).toUpperCase();
  const list = part(root, "events");
  list.setAttribute("aria-label", `${user}: events`);
  // What scrolls must be reachable by keyboard.
  list.tabIndex = 0;
  part(root, "log").tabIndex = 0;
  part(root, "empty").textContent = empty;
  const latencies: number[] = [];
  let count = 0;

  const put = (row: HTMLElement) => {
    list.prepend(row);
    while (list.childElementCount > MAX_ROWS) list.lastElementChild?.remove();
  };

  return {
    element: root,
    become(status, who) {
      const shown = part(root, "status");
      shown.dataset.state = status;
      if (shown.textContent !== STATUS_TEXT[status]) shown.textContent = STATUS_TEXT[status];
      if (who === null) return;
      part(root, "user-uuid").textContent = who.user_uuid;
      part(root, "revision").textContent = who.revision;
    },
    listensTo(patterns) {
      // Whose things and which projects first, then the audiences everybody belongs to.
      const sorted = [...patterns].sort((a, b) => Number(a.includes(".@")) - Number(b.includes(".@")));
      const rows = sorted.map((pattern) => element("li", "", pattern, { testid: "grant" }));
      part(root, "grants").replaceChildren(...rows);
      part(root, "grant-count").textContent = patterns.length === 1 ? "1 subject" : `${patterns.length} subjects`;
    },
    event(event) {
      const committed = event.commitTime === null ? Number.NaN : Date.parse(event.commitTime);
      // Never below zero: the server's clock may be a little ahead.
      const ms = Number.isNaN(committed) ? null : Math.max(0, Date.now() - committed);
      count += 1;
      part(root, "event-count").textContent = String(count);
      if (ms !== null) {
        latencies.push(ms);
        if (latencies.length > MAX_LATENCIES) latencies.shift();
        part(root, "latency").textContent = `${milliseconds(medianOrNull(latencies) ?? ms)} median`;
      }
      put(eventRow(event, ms, names));
      return ms;
    },
    notice: (notice) => put(noticeRow(notice)),
    log: () => createLogView(root),
  };
}
