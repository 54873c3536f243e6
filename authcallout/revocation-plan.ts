/** What a change of the graph means for the sessions that live: which to cut, which to tell. Pure. */
import type { CloseName } from "../core/close-codes.ts";
import type { Effect } from "../core/graph/types.ts";
import { sessionRights } from "../core/session-rights.ts";
import type { Subjects } from "../core/subjects.ts";
import type { GraphView } from "./authorizer.ts";
import type { Session, Sessions } from "./sessions.ts";

export type Action = { session: Session; do: "cut" | "tell"; because: CloseName };

/**
 * @param touched tokens and containers whose rows changed
 * @param now UTC milliseconds
 */
export function planActions(
  effect: Effect,
  touched: ReadonlySet<string>,
  sessions: Sessions,
  view: GraphView,
  subjects: Subjects,
  now: number,
): Action[] {
  const marks = [...effect.shrank, ...effect.grew, ...effect.moved, ...touched];
  const actions: Action[] = [];
  for (const session of sessions.of(marks)) {
    const state = sessionState(session, view, subjects, now);
    if (state === "same") continue;
    const { user } = session.name;
    if (state === "void") actions.push({ session, do: "cut", because: "tokenEnded" });
    else if (effect.shrank.has(user)) actions.push({ session, do: "cut", because: "permissionsChanged" });
    else if (effect.grew.has(user)) actions.push({ session, do: "tell", because: "permissionsGrown" });
    else if (effect.moved.has(user)) actions.push({ session, do: "tell", because: "objectsMoved" });
    else actions.push({ session, do: "cut", because: "permissionsChanged" });
  }
  return actions;
}

/** For sessions found at start or after a disturbance: nobody knows what they missed, so all that differ are cut. */
export function planReconcile(
  sessions: readonly Session[],
  view: GraphView,
  subjects: Subjects,
  now: number,
): Action[] {
  const differing = sessions.filter((session) => sessionState(session, view, subjects, now) !== "same");
  return differing.map((session) => ({ session, do: "cut", because: "permissionsChanged" }));
}

function sessionState(session: Session, view: GraphView, subjects: Subjects, now: number): "same" | "differs" | "void" {
  const identity = view.tokens.bySessionToken(session.name.key.token, now);
  if (!identity) return "void";
  return sessionRights(view.graph, subjects, identity).hash === session.name.hash ? "same" : "differs";
}
