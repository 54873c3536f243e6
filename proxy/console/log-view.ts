/** The box with a container's log: the last lines, kept at the end unless the reader has scrolled up. */
import { part } from "./dom.ts";

const MAX_CHARS = 32_768;

export type LogState = "waiting" | "live" | "ended";

export type LogView = {
  append(bytes: Uint8Array): void;
  /** A line of the page's own between those of the log. */
  mark(text: string): void;
  become(state: LogState, text: string): void;
};

export function createLogView(panel: HTMLElement): LogView {
  const box = part(panel, "log-box");
  const status = part(panel, "log-status");
  const screen = part(panel, "log");
  const decoder = new TextDecoder();
  let text = "";
  let drawing = false;
  box.hidden = false;

  const draw = () => {
    drawing = false;
    const atEnd = screen.scrollHeight - screen.scrollTop - screen.clientHeight < 24;
    screen.textContent = text;
    if (atEnd) screen.scrollTop = screen.scrollHeight;
  };
  const add = (more: string) => {
    text += more;
    // Cut at a line, and seldom: a quarter at a time.
    if (text.length > MAX_CHARS) text = text.slice(text.indexOf("\n", text.length - (MAX_CHARS * 3) / 4) + 1);
    if (drawing) return;
    drawing = true;
    requestAnimationFrame(draw);
  };

  return {
    append(bytes) {
      add(decoder.decode(bytes, { stream: true }));
    },
    mark(line) {
      add(`${text === "" || text.endsWith("\n") ? "" : "\n"}── ${line} ──\n`);
    },
    become(state, words) {
      status.dataset.state = state;
      status.textContent = words;
    },
  };
}
