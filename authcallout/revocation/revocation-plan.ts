/** What a change of the graph means for the sessions that live: which to cut, which to notify. Pure. */
import type { CloseName } from "../../core/close-codes.ts";
import type { Effect } from "../../core/graph-types.ts";
import type { SessionName } from "../../core/session/session.ts";
import type { Session, Sessions } from "../sessions/sessions.ts";
import type { Soundness } from "./soundness.ts";

export type SessionAction = { session: Session; do: "cut" | "notify"; because: CloseName };
export type Judge = (name: SessionName) => Soundness;

/** Why a session may not go on; the others may. */
const CUTS: Partial<Record<Soundness, CloseName>> = {
  unsound: "permissionsChanged",
  void: "tokenEnded",
  uncertain: "tokenUncertain",
  deactivated: "userDeactivated",
};

/** Judges each session once, however often it is asked: while the graph stays as it is. */
export function onceEach(judge: Judge): Judge {
  const known = new Map<SessionName, Soundness>();
  return (name) => {
    const soundness = known.get(name) ?? judge(name);
    known.set(name, soundness);
    return soundness;
  };
}

/** @param changedKeys lookup keys (core/session/session.ts) of the rows that changed */
export function planActions(
  effect: Pick<Effect, "shrank" | "grew" | "moved" | "outdated">,
  changedKeys: ReadonlySet<string>,
  sessions: Sessions,
  judge: Judge,
): SessionAction[] {
  const concerned = sessions.of([
    ...effect.shrank,
    ...effect.outdated,
    ...effect.grew,
    ...effect.moved,
    ...changedKeys,
  ]);
  const lacking = [...concerned].filter(({ name }) => judge(name) === "outgrown");
  return [
    ...planCuts(concerned, judge),
    ...lacking.map((session): SessionAction => {
      const moved = effect.moved.has(session.name.user);
      return { session, do: "notify", because: moved ? "objectsMoved" : "permissionsGrown" };
    }),
  ];
}

/** Of these sessions, those that may not go on. */
export function planCuts(sessions: Iterable<Session>, judge: Judge): SessionAction[] {
  const actions: SessionAction[] = [];
  for (const session of sessions) {
    const because = CUTS[judge(session.name)];
    if (because) actions.push({ session, do: "cut", because });
  }
  return actions;
}
