/** The words that texts of this repository do without, and what to write instead. `words.ts` searches for them; docs/glossary.md gives the words to use. */

/** `words` are alternatives, in any case unless `exact`; a space stands for any white space, so that a phrase may span two lines. */
export type AvoidedWord = { words: string; instead: string; exact?: true };

export const AVOIDED_WORDS: readonly AvoidedWord[] = [
  { words: "anew", instead: "again" },
  { words: "whoever|whomever", instead: "the user that, the session that: name the actor" },
  { words: "of whom|what went", instead: "a main clause that names the actor" },
  { words: "of then", instead: "as of LSN x, as of that revision" },
  { words: "of now", instead: "current" },
  { words: "(?:go|goes|went|going|gone) on(?! to)", instead: "continue" },
  { words: "(?:make|makes|made) good", instead: "repair, resend" },
  { words: "(?:stand|stands|stood|standing) still", instead: "stall" },
  { words: "(?<!state\\s)(?<!virtual\\s)machine", instead: "process (if it runs), host (if it is a computer)" },
  { words: "told", instead: "notified, sent, published" },
  { words: "is due|are due", instead: "expired" },
  { words: "as it were|lest|whence|thence|hitherto", instead: "nothing, or a plain clause" },
  { words: "nor", instead: "and not, or" },
  { words: "(?<=[.,:;]\\s|^)else(?! if)", instead: "otherwise" },
  { words: "driven round", instead: "limited" },
  { words: "(?:sign|signs|signed|signing) (?:back )?in(?! CONNECT)", instead: "log in" },
  { words: "(?:let|lets|letting) in", instead: "accept the login" },
  { words: "doors?", instead: "edge, public listener, port", exact: true },
  { words: "(?:mend|mends|mended|mending)", instead: "repair" },
  { words: "(?<![.\\w])troubles?", instead: "failure, error" },
  { words: "subject tails?", instead: "route (of an event), pattern (of a grant)" },
  { words: "WAL offset", instead: "LSN" },
  { words: "he|his|him|himself", instead: "the user, they, their" },
  { words: "for ever", instead: "without limit, never" },
  { words: "(?:has|have|had) not (?:the|a|an)", instead: "does not have" },
  { words: "lookout", instead: "serving loop" },
];

export type FoundWord = { line: number; word: string; instead: string };

/** White space, also where a comment goes over to its next line. */
const GAP = "\\s+(?:(?:\\*|//|#)\\s+)?";

const PATTERNS = AVOIDED_WORDS.map(({ words, instead, exact }) => ({
  pattern: new RegExp(`(?<![\\w$-])(?:${words.replaceAll(" ", GAP)})(?![\\w$-])`, exact ? "gm" : "gim"),
  instead,
}));

/** The avoided words of a prose, by line. */
export function avoidedWords(prose: string): FoundWord[] {
  const matches = PATTERNS.flatMap(({ pattern, instead }) =>
    [...prose.matchAll(pattern)].map((match) => ({ index: match.index, word: match[0], instead })),
  );
  return matches
    .sort((a, b) => a.index - b.index)
    .map(({ index, word, instead }) => ({
      line: prose.slice(0, index).split("\n").length,
      word: word.replace(/\s+(?:\*|\/\/|#)?\s*/g, " "),
      instead,
    }));
}
