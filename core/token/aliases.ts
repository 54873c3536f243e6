/**
 * Sessions whose token cannot be told from their name (docs/subjects.md 4): which stored token it is, or, where no row stands for it, what
 * Arvados' API said of it. Every replica and the gateway read them in BARRIER. Pure.
 */
import { keepNewest } from "../keep-newest.ts";
import type { Identity } from "./token-index.ts";

/** What Arvados' API says of a token. */
export type Voucher = {
  /** The token's uuid. */
  token: string;
  user: string;
  /** Those that mean something (scopes.ts). */
  scopes: readonly string[];
  /** There are more of them than may be: the token is good for nothing. */
  scopes_over?: true;
  /** UTC milliseconds: after that it has to be asked again. */
  until: number;
};

/** `session` = the token part of the session's subjects, `token` = the token's uuid. */
export type Alias = { session: string; token: string; voucher?: Voucher };

/** What others have to know of a session of this identity. */
export function aliasOf({ sessionToken: session, token, user, scopes, expiresAt, vouched }: Identity): Alias {
  return vouched && expiresAt !== null
    ? { session, token, voucher: { token, user, scopes, until: expiresAt } }
    : { session, token };
}

/** Bounded: one whose alias was pushed out signs in again. */
const KEPT = 100_000;

export class Aliases {
  readonly #all = new Map<string, Alias>();
  readonly #vouched = new Set<Alias>();

  get(session: string): Alias | undefined {
    return this.#all.get(session);
  }

  set(alias: Alias): void {
    this.#delete(alias.session);
    const removed = keepNewest(this.#all, KEPT, alias.session, alias);
    if (removed) this.#vouched.delete(removed);
    if (alias.voucher) this.#vouched.add(alias);
  }

  /** Rows of these tokens have changed: from now on a row decides, also by being gone. */
  forgetVouchersOf(tokens: ReadonlySet<string>): void {
    if (tokens.size === 0) return;
    for (const alias of this.#vouched) if (tokens.has(alias.token)) this.#delete(alias.session);
  }

  /** What rows have come and gone is not known any more. */
  forgetVouchers(): void {
    for (const alias of this.#vouched) this.#delete(alias.session);
  }

  #delete(session: string): void {
    const old = this.#all.get(session);
    if (!old) return;
    this.#all.delete(session);
    this.#vouched.delete(old);
  }
}
