/** A few lines to make and find elements. Text goes in as text, never as markup: names are other people's. */

const SVG = "http://www.w3.org/2000/svg";

/** The element with this `data-testid`, which must be there. */
export function part<E extends HTMLElement = HTMLElement>(root: ParentNode, testid: string): E {
  return find<E>(root, `[data-testid="${testid}"]`);
}

export function find<E extends Element = HTMLElement>(root: ParentNode, selector: string): E {
  const element = root.querySelector<E>(selector);
  if (element === null) throw new Error(`the page lacks ${selector}`);
  return element;
}

export type Data = Record<string, string | undefined>;

export function element(tag: string, className: string, text = "", data: Data = {}): HTMLElement {
  const made = document.createElement(tag);
  if (className !== "") made.className = className;
  made.textContent = text;
  for (const [name, value] of Object.entries(data)) if (value !== undefined) made.dataset[name] = value;
  return made;
}

/** An icon from the page's sprite; an unknown one is drawn as `other`. */
export function icon(name: string): SVGElement {
  const id = document.getElementById(`icon-${name}`) === null ? "icon-other" : `icon-${name}`;
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#${id}`);
  svg.append(use);
  return svg;
}

/** `12:03:04.123`, local. */
export function clock(ms: number): string {
  const date = new Date(ms);
  const two = (n: number) => String(n).padStart(2, "0");
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":");
  return `${time}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}

/** A latency for people; clocks of two machines may disagree by a little. */
export function milliseconds(ms: number): string {
  if (ms < 1) return "<1 ms";
  return ms < 10_000 ? `${Math.round(ms)} ms` : `${Math.round(ms / 1_000)} s`;
}

export function medianOrNull(values: readonly number[]): number | null {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? null;
}
