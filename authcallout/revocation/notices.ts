/**
 * What sessions are notified of. News (rights have grown, objects have moved) make a client log in again, so a user who shares and takes
 * back in a loop must not drive others round with every turn: a session is told at once, then at most once per interval, and what
 * was held is told only if it is still news then. A word before a cut is never held.
 *
 *   quiet ──news: told──► resting ──news──► holding ──interval over: told, if still news──► resting ──interval over──► quiet
 */
import type { CloseName } from "../../core/close-codes.ts";
import { formatSessionKey } from "../../core/subjects.ts";
import type { Session } from "../sessions/sessions.ts";
import type { SessionAction } from "./revocation-plan.ts";

export type NoticesParts = {
  publish: (session: Session, because: CloseName) => void;
  /** Is there still a session of that key whose rights are behind the graph's? */
  isNews: (session: Session) => boolean;
  /** A session was told. */
  onTold: (action: SessionAction) => void;
  later: (callback: () => void, ms: number) => void;
};

export const NEWS_INTERVAL_MS = 500;

export class Notices {
  readonly #parts: NoticesParts;
  /** By session key, which a client keeps when it logs in again. Null: resting. */
  readonly #held = new Map<string, SessionAction | null>();

  constructor(parts: NoticesParts) {
    this.#parts = parts;
  }

  beforeCut({ session, because }: SessionAction): void {
    const key = formatSessionKey(session.name.key);
    if (this.#held.has(key)) this.#held.set(key, null);
    this.#parts.publish(session, because);
  }

  news(action: SessionAction): void {
    const key = formatSessionKey(action.session.name.key);
    if (this.#held.has(key)) this.#held.set(key, action);
    else this.#tell(key, action);
  }

  #tell(key: string, action: SessionAction): void {
    const { publish, onTold, later } = this.#parts;
    publish(action.session, action.because);
    onTold(action);
    this.#held.set(key, null);
    later(() => this.#over(key), NEWS_INTERVAL_MS);
  }

  #over(key: string): void {
    const held = this.#held.get(key) ?? null;
    this.#held.delete(key);
    if (held && this.#parts.isNews(held.session)) this.#tell(key, held);
  }
}
