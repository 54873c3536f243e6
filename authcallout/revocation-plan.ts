/** What a change of the graph means for the sessions that live: which to cut, which to tell. Pure. */
import type { CloseName } from "../core/close-codes.ts";
import type { Effect } from "../core/graph/types.ts";
import type { SessionName } from "../core/session.ts";
import type { Session, Sessions } from "./sessions.ts";
import type { Soundness } from "./soundness.ts";

export type Action = { session: Session; do: "cut" | "tell"; because: CloseName };
export type Judge = (name: SessionName) => Soundness;

/** @param touched tokens and containers whose rows changed */
export function planActions(
  effect: Pick<Effect, "shrank" | "grew" | "moved">,
  touched: ReadonlySet<string>,
  sessions: Sessions,
  judge: Judge,
): Action[] {
  const actions: Action[] = [];
  for (const session of sessions.of([...effect.shrank, ...effect.grew, ...effect.moved, ...touched])) {
    const soundness = judge(session.name);
    if (soundness === "same") continue;
    if (soundness === "outgrown") {
      const because = effect.moved.has(session.name.user) ? "objectsMoved" : "permissionsGrown";
      actions.push({ session, do: "tell", because });
    } else actions.push(cut(session, soundness));
  }
  return actions;
}

/** Of these sessions, those that may not go on. */
export function planCuts(sessions: Iterable<Session>, judge: Judge): Action[] {
  const actions: Action[] = [];
  for (const session of sessions) {
    const soundness = judge(session.name);
    if (soundness === "unsound" || soundness === "void") actions.push(cut(session, soundness));
  }
  return actions;
}

function cut(session: Session, soundness: "unsound" | "void"): Action {
  return { session, do: "cut", because: soundness === "void" ? "tokenEnded" : "permissionsChanged" };
}
