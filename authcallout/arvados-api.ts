/** Arvados' API, asked whose token this is. The token goes into the request's Authorization and nowhere else. */
import type { Voucher } from "../core/aliases.ts";
import { Fault, fault } from "../core/errors.ts";
import { isUserUuid, isUuid } from "../core/uuid.ts";
import { arvadosGet, whyNoAnswer } from "../runtime/arvados-get.ts";

export type ArvadosApiOptions = {
  url: string;
  /** Milliseconds for both requests together. */
  timeout: number;
  /** Aborted when the service ends. */
  signal: AbortSignal;
};

/** More than Arvados ever says of a token or a user. */
const MAX_BODY = 256 * 1024;

type Body = Record<string, unknown>;

export class ArvadosApi {
  readonly #options: ArvadosApiOptions;

  constructor(options: ArvadosApiOptions) {
    this.#options = options;
  }

  /**
   * What Arvados says of the token, for ever where it sets no end; null where it does not accept it. Arvados may put a row for it into
   * its database meanwhile. Throws `lookup.unavailable` where it gives no answer.
   * @param token printable ASCII
   */
  async voucher(token: string): Promise<Voucher | null> {
    const signal = AbortSignal.any([this.#options.signal, AbortSignal.timeout(this.#options.timeout)]);
    // One after the other: at the first one Arvados may have to ask another cluster.
    const found = await this.#get("api_client_authorizations/current", token, signal);
    if (found === "refused" || found === "forbidden") return null;
    const who = await this.#get("users/current", token, signal);
    if (who === "refused") return null;
    // Its scopes may keep a token from saying who its user is. It belongs to somebody all the same.
    const user = who === "forbidden" ? { uuid: found.owner_uuid } : who;
    const until = found.expires_at == null ? Number.POSITIVE_INFINITY : Date.parse(String(found.expires_at));
    const { uuid, scopes } = found;
    if (!isText(uuid) || !isUuid(uuid) || !isText(user.uuid) || !isUserUuid(user.uuid) || Number.isNaN(until)) {
      throw unavailable("its answer is not one of Arvados");
    }
    return { token: uuid, user: user.uuid, scopes: Array.isArray(scopes) ? scopes.filter(isText) : [], until };
  }

  async #get(path: string, token: string, signal: AbortSignal): Promise<Body | "refused" | "forbidden"> {
    try {
      const { url } = this.#options;
      const headers = { accept: "application/json" };
      const response = await arvadosGet({ url, path: `/arvados/v1/${path}`, token, headers, signal });
      if (response.ok) return (JSON.parse(await limitedText(response)) ?? {}) as Body;
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

async function limitedText(response: Response): Promise<string> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of response.body ?? []) {
    parts.push(part);
    size += part.length;
    if (size > MAX_BODY) throw unavailable("its answer is too long");
  }
  return Buffer.concat(parts).toString();
}

function unavailable(reason: string): Fault {
  return fault("lookup.unavailable", { reason });
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}
