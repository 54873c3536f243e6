/** A set of patterns that tells whether any of them matches a subject. The cost follows the subject's length, not their number. Pure. */
import { matches } from "./match.ts";

export class PatternSet {
  readonly #plain: ReadonlySet<string>;
  /** Patterns with a `*`, by the text before the first one. */
  readonly #starred = new Map<string, string[]>();

  constructor(patterns: Iterable<string>) {
    const plain = new Set<string>();
    for (const pattern of patterns) {
      const star = /(^|\.)\*(\.|$)/.exec(pattern);
      if (!star) {
        plain.add(pattern);
        continue;
      }
      const head = pattern.slice(0, star.index);
      const same = this.#starred.get(head);
      if (same) same.push(pattern);
      else this.#starred.set(head, [pattern]);
    }
    this.#plain = plain;
  }

  matches(subject: string): boolean {
    if (this.#plain.has(subject) || this.#plain.has(">") || this.#star("", subject)) return true;
    for (let dot = subject.indexOf("."); dot >= 0; dot = subject.indexOf(".", dot + 1)) {
      const head = subject.slice(0, dot);
      if (this.#plain.has(`${head}.>`) || this.#star(head, subject)) return true;
    }
    return false;
  }

  #star(head: string, subject: string): boolean {
    if (this.#starred.size === 0) return false;
    return this.#starred.get(head)?.some((pattern) => matches(pattern, subject)) ?? false;
  }
}
