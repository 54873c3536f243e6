/**
 * Tokens that no row of the graph stands for, asked about at Arvados' API: of another cluster, or of an OIDC provider. Arvados mostly
 * puts a row for them into its database, which then comes through GRAPH and decides; only where none comes does the API's word count,
 * for a while. Once a row comes or goes the word is void: a row that was deleted must not live on in here.
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
  /** Bare tokens too, which may be of an OIDC provider. */
  bare: boolean;
  /** Arvados' API: null where it does not accept the token; throws where it gives no answer. */
  voucher: (token: string) => Promise<Voucher | null>;
  /** Milliseconds for which the API's word counts. */
  keep: number;
  /** Milliseconds that a token's row has to come through GRAPH. */
  arrival: number;
  /** How many tokens are asked about at a time. */
  parallel: number;
  now: () => number;
  onResult: (result: LookupResult) => void;
};

/** `unknown` = Arvados does not accept it; a fault = it could not be asked. */
export type LookupAnswer = Voucher | "unknown" | Fault;

/** Short: a token may have been made a moment later. */
const KEEP_UNKNOWN_MS = 10_000;
/** Long enough for all who wait for the same answer. */
const KEEP_OUTAGE_MS = 1_000;
/** With no more time left than this no session is begun (authorizer.ts). */
const LEAST_LEFT_MS = 2_000 + AHEAD_MS;
/** Bounded: guesses push out the oldest, which are then asked about again. */
const MAX_KEPT = 10_000;
const MAX_FLIGHTS = 1_000;
const ARRIVAL_STEP_MS = 10;

export class TokenLookup {
  readonly #parts: TokenLookupParts;
  readonly #turns: Semaphore;
  readonly #circuit = new Circuit();
  /** These three by the SHA-256 of the token. */
  readonly #flights = new Map<string, Promise<void>>();
  readonly #vouchers = new Map<string, Voucher>();
  readonly #refusals = new Map<string, { answer: "unknown" | Fault; until: number }>();
  /** Tokens whose rows came, changed or went while somebody was asking, by the count of the last time. */
  readonly #touches = new Map<string, number>();
  #count = 0;
  #forgotten = 0;

  constructor(parts: TokenLookupParts) {
    this.#parts = parts;
    this.#turns = new Semaphore(parts.parallel);
  }

  /** May Arvados know more of the token than the refusal of the graph says? */
  concerns(token: ParsedToken, refusal: Fault): boolean {
    const { clusterId, bare } = this.#parts;
    if (token.form === "v1" && !bare) return false;
    return refusal.code === "token.refresh" || (refusal.code === "token.unknown" && isOfAnother(token, clusterId));
  }

  /** The same of a session's token, by its name alone. */
  concernsName(sessionToken: string): boolean {
    const { clusterId, bare } = this.#parts;
    return isBareSessionToken(sessionToken) ? bare : isSessionTokenOfAnother(sessionToken, clusterId);
  }

  /** What is known without asking; null = nothing. */
  known(token: string): LookupAnswer | null {
    const key = sha256(token);
    const now = this.#parts.now();
    const voucher = this.#vouchers.get(key);
    if (voucher && voucher.until - now > LEAST_LEFT_MS) return voucher;
    const refusal = this.#refusals.get(key);
    if (refusal && refusal.until > now) return refusal.answer;
    if (this.#flights.has(key)) return null;
    if (this.#circuit.isOpen(now)) return fault("lookup.unavailable", { reason: "it has not answered lately" });
    const busy = this.#flights.size >= MAX_FLIGHTS;
    return busy ? fault("lookup.unavailable", { reason: "too many tokens are being asked about" }) : null;
  }

  /** Resolves when there is an answer. Whoever asks about the same token at a time shares it. */
  ask(token: string): Promise<void> {
    const key = sha256(token);
    const known = this.#flights.get(key);
    if (known) return known;
    const since = this.#count;
    const done = this.#askInTurn(key, token, since).finally(() => {
      this.#flights.delete(key);
      if (this.#flights.size === 0) this.#touches.clear();
    });
    this.#flights.set(key, done);
    return done;
  }

  /** Rows of these tokens have come, changed or gone. */
  touched(tokens: ReadonlySet<string>): void {
    if (tokens.size === 0) return;
    for (const [key, { token }] of this.#vouchers) if (tokens.has(token)) this.#vouchers.delete(key);
    this.#count += 1;
    if (this.#flights.size > 0) for (const token of tokens) this.#touches.set(token, this.#count);
  }

  /** Which rows have come and gone is not known any more. */
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

  /** Whether a row of the token has come, or gone, since; one that is on its way has a moment. */
  async #hasRow(token: string, since: number): Promise<boolean> {
    const touched = () => this.#forgotten > since || (this.#touches.get(token) ?? 0) > since;
    for (let waited = 0; waited < this.#parts.arrival && !touched(); waited += ARRIVAL_STEP_MS) {
      await sleep(ARRIVAL_STEP_MS);
    }
    return touched();
  }
}

/** How long a row takes from the database to here when all is well, many times over. */
const ARRIVAL_MS = 250;

/** By the settings; null where nobody is to be asked. */
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
