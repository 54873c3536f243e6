/** One row of a panel's list: an event, or a notice of the service. */
import type { LiveEvent } from "../../client/mod.ts";
import type { CloseName } from "../../core/close-codes.ts";
import { resourceOf } from "../../core/uuid.ts";
import type { Notice } from "../../core/wire/wire.ts";
import { clock, element, icon, milliseconds } from "./dom.ts";

type Tone = "good" | "bad" | "info";

const NOTICES: Partial<Record<CloseName, { text: string; tone: Tone }>> = {
  permissionsGrown: { text: "New rights: more may be read from now on", tone: "good" },
  permissionsChanged: { text: "Rights taken away: cut off, and back with what is left", tone: "bad" },
  objectsMoved: { text: "Objects have moved: listening at their new place", tone: "info" },
  tokenUncertain: { text: "The token has to be vouched for anew: signing in again", tone: "info" },
  tokenEnded: { text: "The token has expired or was revoked", tone: "bad" },
  userDeactivated: { text: "The user is no longer active", tone: "bad" },
};

/** Learns the name, for events that do not say it. */
export function eventRow({ event, sequence }: LiveEvent, ms: number | null, names: Map<string, string>): HTMLElement {
  const { object_uuid: uuid, event_type: type, attributes } = event;
  const resource = resourceOf(uuid) ?? "other";
  const said = attributes?.name;
  if (typeof said === "string" && said !== "") names.set(uuid, said);
  const kind = resource.replace(/s$/, "").replaceAll("_", " ");
  const known = names.get(uuid);
  // A permission link's name is its level: `can_read` alone says little.
  const name = known === undefined ? kind : resource === "links" ? `${known} ${kind}` : known;

  const row = element("li", "event", "", { testid: "event", uuid, type, sequence: String(sequence) });
  if (ms !== null) row.dataset.ms = String(Math.round(ms));
  const title = element("span", "title");
  title.append(element("span", "name", name), element("span", "type", type, { type }));
  row.append(
    icon(resource),
    title,
    element("span", "ms", ms === null ? "" : milliseconds(ms)),
    element("span", "mono uuid", uuid),
    element("time", "", clock(Date.now())),
  );
  return row;
}

export function noticeRow(notice: Notice): HTMLElement {
  const known = NOTICES[notice.notice as CloseName];
  const row = element("li", "notice", "", {
    testid: "notice",
    notice: notice.notice,
    tone: known?.tone ?? (notice.reconnect ? "info" : "bad"),
  });
  row.append(icon("notice"), element("span", "", known?.text ?? notice.reason), element("time", "", clock(Date.now())));
  return row;
}
