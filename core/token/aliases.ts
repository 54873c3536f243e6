/**
 * Aliases: for sessions whose session token does not contain the token's uuid (docs/subjects.md 4), which stored token it is, or, if it has
 * no row, what the Arvados API says about it. Every replica and the gateway read them in BARRIER. Pure.
 */
import { keepNewest } from "../keep-newest.ts";
import type { Identity } from "./token-index.ts";

/** What the Arvados API says about a token. */
export type Voucher = {
  /** The token's uuid. */
  token: string;
  user: string;
  /** The scopes that have an effect here (scopes.ts). */
  scopes: readonly string[];
  /** There are too many scopes: the token is refused. */
  scopes_over?: true;
  /** UTC milliseconds after which the API must be asked again. */
  until: number;
};

/** `session` = the token part of the session's subjects, `token` = the token's uuid. */
export type Alias = { session: string; token: string; voucher?: Voucher };

/** What other replicas must know of a session of this identity. */
export function aliasOf({ sessionToken: session, token, user, scopes, expiresAt, vouched }: Identity): Alias {
  return vouched && expiresAt !== null
    ? { session, token, voucher: { token, user, scopes, until: expiresAt } }
    : { session, token };
}

/** A session whose alias was removed logs in again. */
const KEPT = 100_000;

export class Aliases {
  readonly #all = new Map<string, Alias>();
  readonly #vouched = new Set<Alias>();

  get(sessionToken: string): Alias | undefined {
    return this.#all.get(sessionToken);
  }

  set(alias: Alias): void {
    this.#delete(alias.session);
    const removed = keepNewest(this.#all, KEPT, alias.session, alias);
    if (removed) this.#vouched.delete(removed);
    if (alias.voucher) this.#vouched.add(alias);
  }

  /** Rows of these tokens have changed: from now on the row decides, even if it was deleted. */
  forgetVouchersOf(tokens: ReadonlySet<string>): void {
    if (tokens.size === 0) return;
    for (const alias of this.#vouched) if (tokens.has(alias.token)) this.#delete(alias.session);
  }

  /** It is unknown which rows have changed. */
  forgetVouchers(): void {
    for (const alias of this.#vouched) this.#delete(alias.session);
  }

  #delete(sessionToken: string): void {
    const old = this.#all.get(sessionToken);
    if (!old) return;
    this.#all.delete(sessionToken);
    this.#vouched.delete(old);
  }
}
