/** Asks Arvados' API whose token this is. The token goes into the request's Authorization and nowhere else. */
import { Fault, fault } from "../../core/errors.ts";
import type { Voucher } from "../../core/token/aliases.ts";
import { reduceScopes } from "../../core/token/scopes.ts";
import { isUserUuid, isUuid } from "../../core/uuid.ts";
import { arvadosGet, whyNoAnswer } from "../../runtime/arvados-get.ts";

export type TokenApiOptions = {
  url: string;
  /** Milliseconds for both requests together. */
  timeout: number;
  /** Aborted when the service ends. */
  signal: AbortSignal;
};

/** Larger than Arvados' answer about any token whose scopes count here, and about most users. */
const MAX_BODY = 512 * 1024;

type Body = Record<string, unknown>;
type ApiAnswer = Body | "refused" | "forbidden" | "too long";

export class TokenApi {
  readonly #options: TokenApiOptions;

  constructor(options: TokenApiOptions) {
    this.#options = options;
  }

  /**
   * What Arvados says about the token (without an end: for ever); null if Arvados does not accept it, or its answer is too long. Arvados
   * may create a row for the token meanwhile. Throws `lookup.unavailable` if Arvados gives no answer. That opens the circuit for all tokens,
   * so no content of one token may cause it.
   * @param token printable ASCII
   */
  async voucher(token: string): Promise<Voucher | null> {
    const signal = AbortSignal.any([this.#options.signal, AbortSignal.timeout(this.#options.timeout)]);
    // In sequence: for the first request Arvados may have to ask another cluster.
    const found = await this.#get("api_client_authorizations/current", token, signal);
    if (typeof found === "string") return null;
    const who = await this.#get("users/current", token, signal);
    if (who === "refused") return null;
    // Its scopes may forbid the token to read its user, or the user's record may be too long: then its owner is the user.
    const user = typeof who === "string" ? { uuid: found.owner_uuid } : who;
    const { uuid } = found;
    if (!isText(uuid) || !isUuid(uuid) || !isText(user.uuid) || !isUserUuid(user.uuid)) {
      throw unavailable("its answer is not an answer of Arvados");
    }
    const until = found.expires_at == null ? Number.POSITIVE_INFINITY : Date.parse(String(found.expires_at));
    // A token whose end cannot be read counts as expired.
    if (Number.isNaN(until)) return null;
    const { scopes, over } = reduceScopes(found.scopes);
    return { token: uuid, user: user.uuid, scopes, until, ...(over ? { scopes_over: true } : {}) };
  }

  async #get(path: string, token: string, signal: AbortSignal): Promise<ApiAnswer> {
    try {
      const { url } = this.#options;
      const headers = { accept: "application/json" };
      const response = await arvadosGet({ url, path: `/arvados/v1/${path}`, token, headers, signal });
      if (response.ok) {
        const text = await limitedText(response);
        return text === null ? "too long" : bodyOf(text);
      }
      await response.body?.cancel();
      if (response.status === 401) return "refused";
      if (response.status === 403) return "forbidden";
      throw unavailable(`HTTP ${response.status}`);
    } catch (error) {
      if (error instanceof Fault) throw error;
      throw unavailable(whyNoAnswer(error));
    }
  }
}

function bodyOf(text: string): Body {
  const body: unknown = JSON.parse(text);
  return typeof body === "object" && body !== null ? (body as Body) : {};
}

/** Null if it is too long. */
async function limitedText(response: Response): Promise<string | null> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of response.body ?? []) {
    parts.push(part);
    size += part.length;
    if (size > MAX_BODY) return null;
  }
  return Buffer.concat(parts).toString();
}

function unavailable(reason: string): Fault {
  return fault("lookup.unavailable", { reason });
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}
