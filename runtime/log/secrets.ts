/**
 * What must not be printed. Secrets are found by place (names of fields, URLs, headers, settings) and by the shape of a token, seed, JWT or
 * key. A value that is known to be secret is hidden elsewhere too, but only where hiding it reveals nothing: a password may be a word that
 * the product prints all the time, and blanks in its place would reveal the password.
 */
import { CLOSE_CODES } from "../../core/close-codes.ts";
import { ERRORS } from "../../core/errors.ts";
import { uuidPattern } from "../../core/uuid.ts";
import { allSettings } from "../config/table.ts";

/** Field names without case, `_` and `-`. */
const SECRET_FIELDS = new Set([
  "pass",
  "pwd",
  "passphrase",
  "authorization",
  "cookie",
  "setcookie",
  "apikey",
  "privatekey",
]);
/** The others end like this: `apiToken`, `PGPASSWORD`, `issuer_seed`. */
const SECRET_ENDING = /(token|password|passwd|secret|seed|jwt)$/;

/** What the product calls a token in public: its uuid, the session form of a bare one, that of a container-suffixed one (`core/token/token.ts`). */
const TOKEN_UUID = uuidPattern("api_client_authorizations");
const PUBLIC_TOKEN = new RegExp(`^(${TOKEN_UUID}|h[a-z2-7]{26}|c_${TOKEN_UUID}_${uuidPattern("containers")})$`);

const DEEPEST = 6;
const LONGEST = 8 * 1024;

/**
 * The fields of a log line with secrets blanked, at any depth. Returns the same object where there are none. (pino's own redaction
 * takes paths: 20 times slower with this many, and blind below two levels.)
 */
export function redactFields<T>(value: T, depth = 0, hide?: (text: string) => string): T {
  if (typeof value === "string") return (hide ? hide(cut(value)) : value) as T;
  if (typeof value !== "object" || value === null || value instanceof Error || depth > DEEPEST) return value;
  let copy: Record<string, unknown> | null = null;
  for (const [key, inner] of Object.entries(value)) {
    const shown = isSecretField(key) ? blanked(inner) : redactFields(inner, depth + 1, hide);
    if (shown === inner) continue;
    copy ??= (Array.isArray(value) ? [...value] : { ...value }) as Record<string, unknown>;
    copy[key] = shown;
  }
  return (copy ?? value) as T;
}

/** Text of others may have any length; a log line may not. */
function cut(text: string): string {
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}… (${text.length} characters)` : text;
}

function isSecretField(key: string): boolean {
  const name = key.toLowerCase().replace(/[_-]/g, "");
  return SECRET_FIELDS.has(name) || SECRET_ENDING.test(name);
}

function blanked(value: unknown): unknown {
  if (value === null || value === undefined || value === "") return value;
  return typeof value === "string" && PUBLIC_TOKEN.test(value) ? value : "***";
}

// Clients choose the text, so every repetition in these patterns is bounded: matching takes time linear in the length of the text.

/** What stands before a secret in text: settings, query parameters, connection strings, printed objects. */
const KEY = "(?:token|password|passwd|passphrase|pwd|pass|secret|seed|jwt|api_?key|private_?key)";
/** A quote as it stands in text, or in text within JSON. */
const QUOTE = "\\\\*[\"'`]";
/** The same again, and not one that is escaped within. */
const END = "(?<!\\\\)\\2";

const named = new RegExp(
  `(${KEY}(?:${QUOTE})?\\s*[:=]\\s*)(${QUOTE})((?:(?!${END})[^\\n]){0,4096}?)(?=${END}|$)`,
  "gi",
);
const assigned = new RegExp(`(${KEY}=)([^\\s"'\`&;,\\\\)\\]}]+)`, "gi");
const spoken = /(\bpass(?:word|phrase)(?: is|:)? )(\\*["'`])((?:(?!(?<!\\)\2)[^\n]){0,4096}?)(?=(?<!\\)\2|$)/gi;

type Shape = [shape: RegExp, replacement: string | ((...parts: string[]) => string)];

/**
 * A v2 token keeps its uuid, which is public. In the order in which they are looked for: what is assigned to a name before what has the
 * shape of a secret by itself.
 */
const SHAPES: Shape[] = [
  [new RegExp(`\\bv2(/|%2F)(${TOKEN_UUID})(?:/|%2F)(?:[^\\s"'\`\\\\/&%,;]|%(?!2F))+`, "gi"), "v2$1$2$1***"],
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g, "***"],
  // To the end of the header, or of the string that it stands in.
  [/(\b(?:authorization|(?:set-)?cookie)(?:\\*["'`])?\s*[:=]\s*(?:\\*["'`])?)[^"'`\\\r\n]+/gi, "$1***"],
  [/\b(Bearer |OAuth2 )[^\s"'`&\\]+/gi, "$1***"],
  [/\b(Basic )(?=[A-Za-z0-9+/]*[0-9+/=])[A-Za-z0-9+/=]{8,}/g, "$1***"],
  [named, (_, key = "", quote = "", value = "") => `${key}${quote}${shownValue(value)}`],
  [assigned, (_, key = "", value = "") => `${key}${shownValue(value)}`],
  [spoken, "$1$2***"],
  [/\bS[UAXNCO][A-Z2-7]{56}\b/g, "***"],
  [/\beyJ[A-Za-z0-9_-]{10,1024}\.[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]*)?/g, "***"],
  // User and password in a URL; the password as it was typed may hold what does not belong there.
  [/\b([a-z][a-z0-9+]{0,20}:\/\/)(?:[^\s/@"'`\\]|\\["\\/]){1,1024}@/gi, "$1***@"],
  [/\b([a-z][a-z0-9+]{0,20}:\/\/)[^\s"'`/@:\\]{0,256}:(?!\d+(?:[/\s"'`\\,]|$))[^\s"'`]{0,1024}@/gi, "$1***@"],
  // A bare token of Arvados: 50 of base 36.
  [/\b(?=[0-9a-z]*[g-z])(?=[0-9a-z]*[0-9])[0-9a-z]{40,60}\b/g, "***"],
];

function shownValue(value: string): string {
  return value === "" || value === "null" || PUBLIC_TOKEN.test(value) ? value : "***";
}

/** Shorter values would blot out ordinary words; no real token, seed or serious password is that short. */
const SHORTEST_SECRET = 6;
/** No word is as long: such a value is hidden within others too. */
const LONG_SECRET = 16;

type FilterOptions = {
  /** Values of settings that are no secret: where one of them is a password as well, only its place tells which it is. */
  publicValues?: readonly string[];
  /** False for text in which the product itself speaks: there a known value that is a mere word stays as it is. */
  words?: boolean;
};

/** A function that blanks the given values, and everything that stands where a secret does or looks like one, in a text. */
export function secretFilter(
  secrets: readonly string[] = [],
  { publicValues = [], words = true }: FilterOptions = {},
): (text: string) => string {
  const usable = secrets.filter((secret) => secret.length >= SHORTEST_SECRET);
  const printed = `${ownWords()}\n${publicValues.join("\n")}`.toLowerCase();
  const isKnown = (secret: string) => !printed.includes(secret.toLowerCase()) && (words || !isWord(secret));
  const known = usable
    .flatMap((secret) => formsOf(secret).map((form) => ({ form, isKnown: isKnown(secret) })))
    .map(({ form, isKnown }) => ({
      form,
      place: isKnown ? whole(form) : behindKey(form),
      to: isKnown ? "***" : "$1***",
    }));
  return (text) => {
    let out = text;
    // Most lines hold none of them.
    for (const { form, place, to } of known) if (out.includes(form)) out = out.replace(place, to);
    for (const [shape, replacement] of SHAPES) out = out.replace(shape, replacement as string);
    return out;
  };
}

function isWord(secret: string): boolean {
  return secret.length < LONG_SECRET && /^([A-Za-z_-]+|\d+)$/.test(secret);
}

/** As it is, as it stands in JSON, and as it stands in a URL. */
function formsOf(secret: string): string[] {
  return [...new Set([secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret)])];
}

/** A value by itself: a part of a longer word is not it. */
function whole(value: string): RegExp {
  const text = literally(value);
  if (value.length >= LONG_SECRET) return new RegExp(text, "g");
  // In JSON a word may follow the letter of an escape.
  const begin = /^\w/.test(value) ? "(?:(?<![A-Za-z0-9])|(?<=\\\\[nrt]))" : "";
  return new RegExp(`${begin}${text}${/\w$/.test(value) ? "(?![A-Za-z0-9])" : ""}`, "g");
}

function behindKey(value: string): RegExp {
  return new RegExp(`(${KEY}[\\\\"'\`\\s:=]{1,6})${literally(value)}(?![\\w.-])`, "gi");
}

function literally(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\/-]/g, "\\$&");
}

let own: string | null = null;

/** What the product says, as far as tables hold it: no value in here is worth hiding, or can be. */
function ownWords(): string {
  own ??= `arvados-nats arvados_nats bridge authcallout callout gateway ${JSON.stringify([ERRORS, CLOSE_CODES, allSettings()])}`;
  return own;
}
