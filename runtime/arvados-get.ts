/** A GET to the Arvados API with a token. No redirect is followed, because the token is for Arvados only. */
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

/** `ECONNREFUSED`, `TimeoutError`: the code only, because the text of a library's error may repeat the token. */
export function whyNoAnswer(error: unknown): string {
  const { code, name, cause } = error as Error & { code?: unknown };
  const deeper = (cause as { code?: unknown } | undefined)?.code;
  return ([deeper, code].find((value) => typeof value === "string") as string | undefined) ?? name;
}
