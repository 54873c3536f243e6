/** What must not be printed: fields by name, and any text that has the shape of a secret. */

const SECRET_FIELDS = [
  "token",
  "api_token",
  "apiToken",
  "auth_token",
  "authToken",
  "pass",
  "password",
  "secret",
  "seed",
  "jwt",
  "systemRootToken",
  "anonymousUserToken",
  "issuerSeed",
  "xkeySeed",
  "runtime_token",
  "authorization",
  "Authorization",
  "cookie",
  "Cookie",
];

/** At the top, and one and two levels down: `{ token }`, `{ request: { token } }`, `{ request: { headers: { authorization } } }`. */
export const REDACTED_PATHS = SECRET_FIELDS.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]);

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
