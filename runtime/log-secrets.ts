/** What must not be printed: fields by name, and any text that has the shape of a secret. */

/** Field names without case, `_` and `-`. */
const SECRET_FIELDS = new Set([
  "token",
  "apitoken",
  "authtoken",
  "runtimetoken",
  "systemroottoken",
  "anonymoususertoken",
  "pass",
  "password",
  "secret",
  "seed",
  "issuerseed",
  "xkeyseed",
  "edgeseed",
  "jwt",
  "authorization",
  "cookie",
  "setcookie",
]);

/** What the product calls a token in public: its uuid, the session form of a bare one, that of a container-suffixed one (`core/token.ts`). */
const PUBLIC_TOKEN =
  /^([0-9a-z]{5}-gj3su-[0-9a-z]{15}|h[a-z2-7]{26}|c_[0-9a-z]{5}-gj3su-[0-9a-z]{15}_[0-9a-z]{5}-dz642-[0-9a-z]{15})$/;

const DEEPEST = 6;

/**
 * The fields of a log line with secrets blanked, at any depth. Returns the same object where there are none. (pino's own redaction
 * takes paths: 20 times slower with this many, and blind below two levels.)
 */
export function redactFields<T>(value: T, depth = 0): T {
  if (typeof value !== "object" || value === null || value instanceof Error || depth > DEEPEST) return value;
  let copy: Record<string, unknown> | null = null;
  for (const [key, inner] of Object.entries(value)) {
    const shown = isSecretField(key) ? blanked(inner) : redactFields(inner, depth + 1);
    if (shown === inner) continue;
    copy ??= (Array.isArray(value) ? [...value] : { ...value }) as Record<string, unknown>;
    copy[key] = shown;
  }
  return (copy ?? value) as T;
}

function isSecretField(key: string): boolean {
  return SECRET_FIELDS.has(key.toLowerCase().replace(/[_-]/g, ""));
}

function blanked(value: unknown): unknown {
  if (value === null || value === undefined || value === "") return value;
  return typeof value === "string" && PUBLIC_TOKEN.test(value) ? value : "***";
}

/**
 * Shapes: a v2 token keeps its uuid, which is public; nkey seeds; JWTs; `api_token=` and `Bearer` as they stand in URLs and headers;
 * user and password in a URL.
 */
const SHAPES: [RegExp, string][] = [
  [/\bv2\/([0-9a-z]{5}-gj3su-[0-9a-z]{15})\/[A-Za-z0-9_-]+/g, "v2/$1/***"],
  [/\bS[UAXNCO][A-Z2-7]{56}\b/g, "***"],
  [/\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]*)?/g, "***"],
  [/\b(api_token=|Bearer |OAuth2 )[^\s"&\\]+/gi, "$1***"],
  [/\b([a-z][a-z0-9+]*:\/\/)[^\s/@"\\]+@/gi, "$1***@"],
];

/** Shorter values would blot out ordinary words; no real token, seed or serious password is that short. */
const SHORTEST_SECRET = 6;

/** A function that blanks the given values, and everything that looks like a secret, in a line of text. */
export function secretFilter(secrets: readonly string[] = []): (line: string) => string {
  const known = secrets
    .filter((secret) => secret.length >= SHORTEST_SECRET)
    .flatMap((secret) => [secret, JSON.stringify(secret).slice(1, -1)]);
  return (line) => {
    let out = line;
    for (const secret of known) out = out.replaceAll(secret, "***");
    for (const [shape, replacement] of SHAPES) out = out.replace(shape, replacement);
    return out;
  };
}
