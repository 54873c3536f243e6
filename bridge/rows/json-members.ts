/**
 * Finds members of a JSON object in UTF-8 text without creating its values, because any token holder may write a log row of any size and
 * depth. Time grows with the length, memory with the number of names, and no depth overflows the stack. Pure.
 */

/** Where a value starts and ends in the text. */
export type Span = { start: number; end: number };

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
/** Longer names are not decoded: nobody asks for them. */
const MAX_NAME = 64;
/** Bytes of a string that are read one by one. */
const SHORT = 64;

/**
 * For each object that is a member of the object `text` under one of `names`: its members under one of `inner`. Of several with one name the
 * last counts, as in JSON.parse. A member that is no object, or an invalid one, is null; all is null if `text` is no object, or ends within
 * one. Values are not validated: the caller parses those that it uses. The text is read once.
 */
export function innerMembersOf(
  text: Buffer,
  names: ReadonlySet<string>,
  inner: ReadonlySet<string>,
): Map<string, Map<string, Span> | null> | null {
  const found = new Map<string, Map<string, Span> | null>();
  const end = text.length;
  const objectEnd = readObject(text, names, skipSpace(text, 0, end), (name, at) => {
    const members = new Map<string, Span>();
    const valueEnd = readObject(text, inner, at, (one, start) => {
      const memberEnd = skipValue(text, start, end);
      members.set(one, { start, end: memberEnd });
      return memberEnd;
    });
    found.set(name, valueEnd < 0 ? null : members);
    return valueEnd < 0 ? skipValue(text, at, end) : valueEnd;
  });
  return objectEnd >= 0 && skipSpace(text, objectEnd, end) === end ? found : null;
}

/**
 * Reads the object that begins at `start`.
 * @param readValue reads the value, which begins at `at`, of a member with one of the names; returns its end, or -1
 * @returns the object's end; -1 if there is none, or it does not end
 */
function readObject(
  text: Buffer,
  names: ReadonlySet<string>,
  start: number,
  readValue: (name: string, at: number) => number,
): number {
  const end = text.length;
  if (start >= end || text[start] !== OPEN_BRACE) return -1;
  let at = skipSpace(text, start + 1, end);
  if (at < end && text[at] === CLOSE_BRACE) return at + 1;
  for (;;) {
    if (at >= end || text[at] !== QUOTE) return -1;
    const nameEnd = stringEnd(text, at, end);
    const name = nameEnd < 0 ? null : nameAt(text, at, nameEnd);
    at = nameEnd < 0 ? end : skipSpace(text, nameEnd, end);
    if (at >= end || text[at] !== COLON) return -1;
    const valueStart = skipSpace(text, at + 1, end);
    const valueEnd = name !== null && names.has(name) ? readValue(name, valueStart) : skipValue(text, valueStart, end);
    if (valueEnd < 0) return -1;
    at = skipSpace(text, valueEnd, end);
    if (at < end && text[at] === CLOSE_BRACE) return at + 1;
    if (at >= end || text[at] !== COMMA) return -1;
    at = skipSpace(text, at + 1, end);
  }
}

/** Are objects and arrays nested at most `limit` deep? */
export function isNoDeeperThan(text: Buffer, limit: number, { start, end }: Span): boolean {
  let depth = 0;
  for (let at = start; at < end; at++) {
    const byte = text[at];
    if (byte === QUOTE) {
      at = stringEnd(text, at, end) - 1;
      if (at < 0) return true;
    } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      if (++depth > limit) return false;
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) depth--;
  }
  return true;
}

function nameAt(text: Buffer, start: number, end: number): string | null {
  if (end - start > MAX_NAME) return null;
  // As the names that are asked for are written by everybody: without escapes. What is not ASCII is none of them either way.
  const plain = text.toString("latin1", start + 1, end - 1);
  if (!plain.includes("\\")) return plain;
  try {
    const name: unknown = JSON.parse(text.toString("utf8", start, end));
    return typeof name === "string" ? name : null;
  } catch {
    // A name that JSON does not admit is none of those that are asked for.
    return null;
  }
}

function skipSpace(text: Buffer, start: number, end: number): number {
  let at = start;
  while (at < end && isSpace(text[at] as number)) at++;
  return at;
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

/** The end of the string that begins at `start`; -1 where it does not end. */
function stringEnd(text: Buffer, start: number, end: number): number {
  let at = start + 1;
  // Most strings are short: reading their bytes here costs less than one call of `indexOf`, which is far faster for long ones.
  for (const near = Math.min(end, at + SHORT); at < near; at++) {
    const byte = text[at];
    if (byte === QUOTE) return at + 1;
    if (byte === BACKSLASH) at++;
  }
  for (;;) {
    const quote = at < end ? text.indexOf(QUOTE, at) : -1;
    if (quote < 0 || quote >= end) return -1;
    let before = quote - 1;
    while (before > start && text[before] === BACKSLASH) before--;
    // An even number of backslashes escape each other, not the quote.
    if ((quote - 1 - before) % 2 === 0) return quote + 1;
    at = quote + 1;
  }
}

/** The end of the value that begins at `start`; -1 where there is none, or it does not end. */
function skipValue(text: Buffer, start: number, end: number): number {
  const first = text[start];
  if (start >= end) return -1;
  if (first === QUOTE) return stringEnd(text, start, end);
  if (first !== OPEN_BRACE && first !== OPEN_BRACKET) {
    let at = start;
    while (at < end && !isDelimiter(text[at] as number)) at++;
    return at === start ? -1 : at;
  }
  let depth = 0;
  for (let at = start; at < end; at++) {
    const byte = text[at];
    if (byte === QUOTE) {
      at = stringEnd(text, at, end) - 1;
      if (at < 0) return -1;
    } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) depth++;
    else if ((byte === CLOSE_BRACE || byte === CLOSE_BRACKET) && --depth === 0) return at + 1;
  }
  return -1;
}

function isDelimiter(byte: number): boolean {
  return byte === COMMA || byte === CLOSE_BRACE || byte === CLOSE_BRACKET || byte === COLON || isSpace(byte);
}
