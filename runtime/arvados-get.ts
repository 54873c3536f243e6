/** A GET to the Arvados API with a token, which is for Arvados alone: no redirect is followed. */
type ArvadosGet = {
  /** Of the API, without a path. */
  url: string;
  /** Absolute, escaped. */
  path: string;
  token: string;
  headers: Readonly<Record<string, string>>;
  signal: AbortSignal;
};

export function arvadosGet({ url, path, token, headers, signal }: ArvadosGet): Promise<Response> {
  return fetch(new URL(path, url), {
    headers: { ...headers, authorization: `Bearer ${token}` },
    redirect: "error",
    signal,
  });
}

/** In words of our own, `ECONNREFUSED`, `TimeoutError`: what a library says may repeat what it was given, the token. */
export function whyNoAnswer(error: unknown): string {
  const { code, name, cause } = error as Error & { code?: unknown };
  const deeper = (cause as { code?: unknown } | undefined)?.code;
  return ([deeper, code].find((said) => typeof said === "string") as string | undefined) ?? name;
}
