/**
 * Looks tokens without a row in the graph up at Arvados' API: tokens of another cluster or of an OIDC provider. Arvados usually creates a
 * row for such a token, which arrives through GRAPH and decides. If none arrives, the API's answer is kept as a voucher for a while. A
 * row that arrives or is deleted voids the voucher: a deleted token must not live on here.
 */
import { Fault, fault, reasonOf } from "../../core/errors.ts";
import { keepNewest } from "../../core/keep-newest.ts";
import type { Voucher } from "../../core/token/aliases.ts";
import {
  isBareSessionToken,
  isOfAnother,
  isSessionTokenOfAnother,
  type ParsedToken,
  sha256,
} from "../../core/token/token.ts";
import type { Config } from "../../runtime/config/config.ts";
import { Semaphore } from "../../runtime/semaphore.ts";
import { sleep } from "../../runtime/sleep.ts";
import { AHEAD_MS } from "../sessions/endings.ts";
import { Circuit } from "./circuit.ts";
import { TokenApi } from "./token-api.ts";

export type LookupResult = "row" | "vouched" | "unknown" | "outage";

export type TokenLookupParts = {
  clusterId: string;
  /** Look up bare tokens too: they may be an OIDC provider's. */
  bare: boolean;
  /** Asks Arvados' API: null if it does not accept the token; throws if it gives no answer. */
  voucher: (token: string) => Promise<Voucher | null>;
  /** Milliseconds for which a voucher is kept. */
  keep: number;
  /** Milliseconds that a token's row has to arrive through GRAPH. */
  arrival: number;
  /** How many requests run at a time. */
  parallel: number;
  now: () => number;
  onResult: (result: LookupResult) => void;
};

/** `unknown` = Arvados does not accept the token; a fault = Arvados could not be asked. */
export type LookupAnswer = Voucher | "unknown" | Fault;

/** Short: the token may be created a moment later. */
const KEEP_UNKNOWN_MS = 10_000;
/** Long enough for all logins that wait for the same answer. */
const KEEP_OUTAGE_MS = 1_000;
/** No session begins if its token has less time left (authorizer.ts). */
const LEAST_LEFT_MS = 2_000 + AHEAD_MS;
/** Guesses push out the oldest answers, which are then asked for again. */
const MAX_KEPT = 10_000;
const MAX_FLIGHTS = 1_000;
const ARRIVAL_STEP_MS = 10;

export class TokenLookup {
  readonly #parts: TokenLookupParts;
  readonly #turns: Semaphore;
  readonly #circuit = new Circuit();
  /** The keys of these three maps are the SHA-256 of the token. */
  readonly #flights = new Map<string, Promise<void>>();
  readonly #vouchers = new Map<string, Voucher>();
  readonly #refusals = new Map<string, { answer: "unknown" | Fault; until: number }>();
  /** Token -> `#count` when its row last changed, while requests run. */
  readonly #changes = new Map<string, number>();
  #count = 0;
  #forgotten = 0;

  constructor(parts: TokenLookupParts) {
    this.#parts = parts;
    this.#turns = new Semaphore(parts.parallel);
  }

  /** May Arvados' API know more about the token than the graph, which refuses it? */
  concerns(token: ParsedToken, refusal: Fault): boolean {
    const { clusterId, bare } = this.#parts;
    if (token.form === "v1" && !bare) return false;
    return refusal.code === "token.refresh" || (refusal.code === "token.unknown" && isOfAnother(token, clusterId));
  }

  /** The same for the token behind a session token. */
  concernsName(sessionToken: string): boolean {
    const { clusterId, bare } = this.#parts;
    return isBareSessionToken(sessionToken) ? bare : isSessionTokenOfAnother(sessionToken, clusterId);
  }

  /** The answer that is kept; null = Arvados must be asked. */
  known(token: string): LookupAnswer | null {
    const key = sha256(token);
    const now = this.#parts.now();
    const voucher = this.#vouchers.get(key);
    if (voucher && voucher.until - now > LEAST_LEFT_MS) return voucher;
    const refusal = this.#refusals.get(key);
    if (refusal && refusal.until > now) return refusal.answer;
    if (this.#flights.has(key)) return null;
    if (this.#circuit.isOpen(now)) return fault("lookup.unavailable", { reason: "its last requests failed" });
    const busy = this.#flights.size >= MAX_FLIGHTS;
    return busy ? fault("lookup.unavailable", { reason: "too many requests wait for it" }) : null;
  }

  /** Resolves when there is an answer. Logins with the same token share one request. */
  ask(token: string): Promise<void> {
    const key = sha256(token);
    const known = this.#flights.get(key);
    if (known) return known;
    const since = this.#count;
    const done = this.#askInTurn(key, token, since).finally(() => {
      this.#flights.delete(key);
      if (this.#flights.size === 0) this.#changes.clear();
    });
    this.#flights.set(key, done);
    return done;
  }

  /** Rows were created, changed or deleted; `keys` are their lookup keys. */
  forgetChanged(keys: ReadonlySet<string>): void {
    if (keys.size === 0) return;
    for (const [key, { token }] of this.#vouchers) if (keys.has(token)) this.#vouchers.delete(key);
    this.#count += 1;
    if (this.#flights.size > 0) for (const key of keys) this.#changes.set(key, this.#count);
  }

  /** The graph was loaded again: nobody knows which rows changed. */
  forget(): void {
    this.#vouchers.clear();
    this.#count += 1;
    this.#forgotten = this.#count;
  }

  async #askInTurn(key: string, token: string, since: number): Promise<void> {
    const done = await this.#turns.acquire();
    try {
      await this.#ask(key, token, since);
    } finally {
      done();
    }
  }

  async #ask(key: string, token: string, since: number): Promise<void> {
    const { voucher: ask, keep, now, onResult } = this.#parts;
    const begun = now();
    try {
      const found = await ask(token);
      this.#circuit.worked();
      const until = found ? Math.min(begun + keep, found.until) : 0;
      if (!found || until - now() <= LEAST_LEFT_MS) {
        onResult("unknown");
        keepNewest(this.#refusals, MAX_KEPT, key, { answer: "unknown", until: now() + KEEP_UNKNOWN_MS });
        return;
      }
      if (await this.#hasRow(found.token, since)) return onResult("row");
      onResult("vouched");
      keepNewest(this.#vouchers, MAX_KEPT, key, { ...found, until });
    } catch (error) {
      this.#circuit.failed(now());
      onResult("outage");
      const answer = error instanceof Fault ? error : fault("lookup.unavailable", { reason: reasonOf(error) });
      keepNewest(this.#refusals, MAX_KEPT, key, { answer, until: now() + KEEP_OUTAGE_MS });
    }
  }

  /** Did a row of the token arrive or change since? A row on its way gets some time. */
  async #hasRow(token: string, since: number): Promise<boolean> {
    const changed = () => this.#forgotten > since || (this.#changes.get(token) ?? 0) > since;
    for (let waited = 0; waited < this.#parts.arrival && !changed(); waited += ARRIVAL_STEP_MS) {
      await sleep(ARRIVAL_STEP_MS);
    }
    return changed();
  }
}

/** Many times what a row usually takes from the database to this process. */
const ARRIVAL_MS = 250;

/** Null if the settings turn lookups off. */
export function createTokenLookup(
  config: Config,
  signal: AbortSignal,
  now: () => number,
  onResult: (result: LookupResult) => void,
): TokenLookup | null {
  const { arvadosApiUrl: url, lookupKinds, lookupTimeout: timeout, lookupKeep, lookupParallel, clusterId } = config;
  if (url === null || lookupKinds === "none") return null;
  const api = new TokenApi({ url, timeout, signal });
  return new TokenLookup({
    clusterId,
    bare: lookupKinds === "all",
    voucher: (token) => api.voucher(token),
    keep: lookupKeep,
    arrival: ARRIVAL_MS,
    parallel: lookupParallel,
    now,
    onResult,
  });
}
