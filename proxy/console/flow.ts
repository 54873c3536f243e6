/** The small picture: an event lights its way; where a right is missing, the line is cut. */
import { find, part } from "./dom.ts";

const LIT_MS = 700;
const STEP_MS = 110;
type Wire = "postgres" | "bridge" | "alice" | "bob";

export type Flow = {
  /** An event has come to this user. */
  arrived(user: "alice" | "bob"): void;
  bobMay(read: boolean): void;
};

export function createFlow(root: HTMLElement, project: string): Flow {
  const figure = part(root, "flow");
  const caption = part(root, "flow-caption");
  const cut = find<SVGElement>(figure, ".cut");
  const timers = new Map<Element, number>();

  const restart = (element: Element, className: string, forMs: number) => {
    window.clearTimeout(timers.get(element));
    element.classList.remove(className);
    // Reading the box makes the browser notice the removal, so that the animation runs again.
    element.getBoundingClientRect();
    element.classList.add(className);
    timers.set(
      element,
      window.setTimeout(() => element.classList.remove(className), forMs),
    );
  };
  const light = (wire: Wire, step: number) => {
    const path = find<SVGElement>(figure, `[data-wire="${wire}"]`);
    window.setTimeout(() => restart(path, "lit", LIT_MS), step * STEP_MS);
  };

  return {
    arrived(user) {
      light("postgres", 0);
      light("bridge", 1);
      light(user, 2);
      if (figure.dataset.bob === "cut") window.setTimeout(() => restart(cut, "hit", LIT_MS), 2 * STEP_MS);
    },
    bobMay(read) {
      figure.dataset.bob = read ? "open" : "cut";
      caption.textContent = read
        ? `bob may read “${project}”: its changes reach him too`
        : `bob has no right to “${project}”: nothing of it reaches him`;
    },
  };
}
