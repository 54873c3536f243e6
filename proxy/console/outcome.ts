/** After an action: who heard of it, and how soon. */
import { type ActionResult, act, type DemoAction } from "./demo.ts";
import { clock, element, find, milliseconds, part } from "./dom.ts";

const WAIT_MS = 1_500;
const USERS = ["alice", "bob"] as const;
export type DemoUserName = (typeof USERS)[number];

type Heard = { user: DemoUserName; uuid: string | null; at: number };

const DONE: Record<DemoAction, string> = {
  share: "Shared {project} with bob",
  unshare: "Stopped sharing {project}",
  update: "Updated {object}",
  create: "Created {object}",
};

export type Outcome = {
  /** Performs the action and shows what comes of it. */
  perform(action: DemoAction): Promise<ActionResult>;
  /** `uuid` null: a notice about rights. */
  heard(user: DemoUserName, uuid: string | null): void;
};

export function createOutcome(root: HTMLElement, project: string, names: ReadonlyMap<string, string>): Outcome {
  const status = part(root, "action-status");
  const chips = find(root, ".outcomes");
  let round = 0;
  let over = false;
  let hearings: Heard[] = [];
  let result: ActionResult | null = null;

  const draw = () => {
    if (result === null) return;
    const { action, uuid, committedAt } = result;
    // Drawn again with each hearing: a new object's name comes with the event.
    const done = DONE[action]
      .replace("{project}", () => `“${project}”`)
      .replace("{object}", () => (names.has(uuid) ? `“${names.get(uuid)}”` : "a collection"));
    status.textContent = `${done}, committed at ${clock(Date.parse(committedAt))}:`;
    const aboutRights = action === "share" || action === "unshare";
    const rows = USERS.map((user) => {
      const first = hearings.find((h) => h.user === user && (h.uuid === uuid || (aboutRights && h.uuid === null)));
      if (first === undefined && !over) return element("li", "chip", `${user} …`, { testid: `outcome-${user}` });
      const text =
        first === undefined
          ? "heard nothing"
          : `after ${milliseconds(Math.max(0, first.at - Date.parse(committedAt)))}`;
      return element("li", "chip", `${user} ${text}`, {
        testid: `outcome-${user}`,
        heard: first === undefined ? "no" : "yes",
      });
    });
    chips.replaceChildren(...rows);
  };

  return {
    async perform(action) {
      round += 1;
      const mine = round;
      hearings = [];
      result = null;
      over = false;
      status.textContent = "…";
      chips.replaceChildren();
      try {
        // Events may be here before the answer: what is heard from now on is kept.
        result = await act(action);
      } catch (error) {
        status.textContent = error instanceof Error ? error.message : String(error);
        throw error;
      }
      draw();
      window.setTimeout(() => {
        if (mine !== round) return;
        over = true;
        draw();
      }, WAIT_MS);
      return result;
    },
    heard(user, uuid) {
      hearings.push({ user, uuid, at: Date.now() });
      draw();
    },
  };
}
