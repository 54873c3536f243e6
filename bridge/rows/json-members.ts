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

/**
 * The members of the object `text` that have one of these names. Of several with one name the last counts, as in JSON.parse. Null where the text
 * is no object, or ends within one. Values are not validated: the caller parses those that it uses.
 */
export function membersOf(text: Buffer, names: ReadonlySet<string>, { start, end }: Span): Map<string, Span> | null {
  const found = new Map<string, Span>();
  let at = skipSpace(text, start, end);
  if (text[at] !== OPEN_BRACE) return null;
  at = skipSpace(text, at + 1, end);
  if (text[at] === CLOSE_BRACE) return skipSpace(text, at + 1, end) === end ? found : null;
  for (;;) {
    if (at >= end || text[at] !== QUOTE) return null;
    const nameEnd = stringEnd(text, at, end);
    const name = nameEnd < 0 ? null : nameAt(text, at, nameEnd);
    at = nameEnd < 0 ? end : skipSpace(text, nameEnd, end);
    if (at >= end || text[at] !== COLON) return null;
    const valueStart = skipSpace(text, at + 1, end);
    const valueEnd = skipValue(text, valueStart, end);
    if (valueEnd < 0) return null;
    if (name !== null && names.has(name)) found.set(name, { start: valueStart, end: valueEnd });
    at = skipSpace(text, valueEnd, end);
    if (text[at] === CLOSE_BRACE) return skipSpace(text, at + 1, end) === end ? found : null;
    if (text[at] !== COMMA) return null;
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
  for (let at = start + 1; ; ) {
    const quote = text.indexOf(QUOTE, at);
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
