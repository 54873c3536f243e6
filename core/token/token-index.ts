/**
 * Who a token belongs to, answered from memory: the token and container rows of GRAPH, by uuid, by secret hash and by session token.
 * Holds SHA-256 hashes only. Rules: docs/arvados-permissions.md 5.
 */
import { type Fault, fault } from "../errors.ts";
import type { GraphChange, TokenRow } from "../rows.ts";
import { wellKnown } from "../uuid.ts";
import type { Alias, Voucher } from "./aliases.ts";
import { ContainerIndex } from "./container-index.ts";
import { equalTexts } from "./equal-texts.ts";
import { MAX_SCOPES } from "./scopes.ts";
import { hashesOf, provesToken, secretProof } from "./secret-proof.ts";
import {
  bareSessionToken,
  oidcSecret,
  type ParsedToken,
  saltedSecret,
  sessionTokenOf,
  sha256,
  suffixedParts,
} from "./token.ts";

export type Identity = {
  user: string;
  /** The token's uuid: public, safe to log. */
  token: string;
  /** The token part of the session's subjects. */
  sessionToken: string;
  scopes: readonly string[];
  /** UTC milliseconds after which the token has expired; null = never. */
  expiresAt: number | null;
  /** Containers whose own token this is. */
  containers: readonly string[];
  /** The Arvados API vouches for the token; it has no row that would show later changes. */
  vouched: boolean;
};

export type TokenIndexOptions = {
  clusterId: string;
  /** Empty = none. */
  systemRootToken: string;
  /** Aliases by session token. Shared, and outlives the index. */
  aliases?: { get(session: string): Alias | undefined };
  /** Users.AnonymousUserToken reduced to its secret; empty = anonymous access is off. */
  anonymousSecret: string;
  /** Is there a user of this uuid, who was not merged into another? Default: always. */
  isUser?: (uuid: string) => boolean;
};

/** Why a session's token is no longer valid: `unknown` = it has no row. */
export type TokenEnd = "expired" | "refresh" | "user" | "container" | "scopes" | "unknown";

/** The refusal at a login whose token's own row says that it has ended. */
const END_CODES = {
  expired: "token.expired",
  refresh: "token.refresh",
  user: "token.user",
  scopes: "token.scopes",
} as const;

const ANONYMOUS_SCOPES = ["GET /"];
const ROOT_SCOPES = ["all"];
export class TokenIndex {
  readonly #options: TokenIndexOptions;
  readonly #tokens = new Map<string, TokenRow>();
  readonly #bySecret = new Map<string, string>();
  readonly #containers = new ContainerIndex();
  /** `h…` session tokens of bare secrets -> token uuid. */
  readonly #bySessionToken = new Map<string, string>();

  /** Tokens that are refused because they have too many scopes. */
  readonly #overScopes = new Set<string>();

  /** Session tokens of the tokens in the settings; computed once, because every login and listing compares with them. */
  readonly #anonymousSessionTokens: ReadonlySet<string>;
  readonly #rootSessionToken: string | null;
  readonly #anonymousHashes: Pick<TokenRow, "secret_sha256" | "salted_sha256">;

  constructor(options: TokenIndexOptions) {
    this.#options = options;
    const { clusterId, systemRootToken, anonymousSecret } = options;
    const bare = (secret: string) => bareSessionToken(sha256(secret));
    const anonymous = [wellKnown(clusterId).anonymousToken, bare(anonymousSecret)];
    this.#anonymousSessionTokens = new Set(anonymousSecret === "" ? [] : anonymous);
    this.#anonymousHashes = hashesOf(anonymousSecret, clusterId);
    this.#rootSessionToken = systemRootToken === "" ? null : bare(systemRootToken);
  }

  /** How many tokens are good for nothing, for they have too many scopes. */
  get overScopes(): number {
    return this.#overScopes.size;
  }

  /** Applies rows' new values; returns the lookup keys of the sessions to check: uuids of tokens and containers. */
  apply(changes: readonly GraphChange[]): Set<string> {
    const changedKeys = new Set<string>();
    for (const change of changes) {
      if (change.kind === "token") {
        this.#setToken(change.uuid, change.row);
        changedKeys.add(change.uuid);
      } else if (change.kind === "container") {
        for (const auth of this.#containers.set(change.uuid, change.row)) changedKeys.add(auth);
        changedKeys.add(change.uuid);
      }
    }
    return changedKeys;
  }

  /** Whose token this is, or the fault that says why it is refused. */
  identify(token: ParsedToken, now: number): Identity | Fault {
    return this.#anonymous(token) ?? this.#root(token) ?? this.#stored(token, now);
  }

  /** Whose token this is by the Arvados API, for a token without a row. If there is a row, only the row decides. */
  identifyVouched(token: ParsedToken, voucher: Voucher, now: number): Identity | Fault {
    if (this.#tokens.has(voucher.token)) return fault("lookup.unavailable", { reason: "its row here says otherwise" });
    if (voucher.scopes_over) return fault("token.scopes", { token: voucher.token, limit: MAX_SCOPES });
    if (voucher.until <= now) return fault("token.expired", { token: voucher.token });
    const wrong = token.form === "v2" && token.container !== null && this.#suffixFault(token, token.container);
    return wrong || this.#vouchedIdentity(voucher, sessionTokenOf(token));
  }

  /** The identity behind a session token, for a session that has logged in. */
  bySessionToken(sessionToken: string, now: number): Identity | null {
    if (this.#anonymousSessionTokens.has(sessionToken)) return this.#anonymousIdentity(sessionToken);
    if (sessionToken === this.#rootSessionToken) return this.#rootIdentity(sessionToken);
    if (this.#containers.hasEnded(sessionToken)) return null;
    const alias = this.#options.aliases?.get(sessionToken);
    const row = this.#rowOf(sessionToken, alias);
    if (row) return this.#endOf(row, now) ? null : this.#identityOf(row, sessionToken);
    const voucher = alias?.voucher;
    return voucher && !voucher.scopes_over && voucher.until > now ? this.#vouchedIdentity(voucher, sessionToken) : null;
  }

  /** The proof in the name of a session that logs in with this token. */
  proofOf(token: ParsedToken): string {
    return secretProof(token, this.#options.systemRootToken);
  }

  /**
   * Do the rows, or the settings, still have the secret that this session logged in with? True also without a row, and for a session
   * that an earlier version accepted, which has no proof.
   */
  isProven(sessionToken: string, proof: string | undefined): boolean {
    if (proof === undefined || sessionToken === this.#rootSessionToken) return true;
    const { anonymousToken } = wellKnown(this.#options.clusterId);
    if (sessionToken === anonymousToken) return provesToken(proof, sessionToken, this.#anonymousHashes);
    if (!this.#containers.isProven(sessionToken, proof)) return false;
    const row = this.#rowOf(sessionToken, this.#options.aliases?.get(sessionToken));
    return !row || provesToken(proof, sessionToken, row);
  }

  /** Why `bySessionToken` returns null. */
  endOf(sessionToken: string, now: number): TokenEnd {
    if (this.#containers.hasEnded(sessionToken)) return "container";
    const row = this.#rowOf(sessionToken, this.#options.aliases?.get(sessionToken));
    return (row && this.#endOf(row, now)) ?? "unknown";
  }

  #anonymous(token: ParsedToken): Identity | null {
    const { clusterId, anonymousSecret } = this.#options;
    // HMAC with an empty key is a value anybody can compute: with no setting there is no anonymous token.
    if (anonymousSecret === "") return null;
    if (token.form === "v2" && token.uuid !== wellKnown(clusterId).anonymousToken) return null;
    if (token.form === "v2" && token.container !== null) return null;
    const matches =
      equalTexts(token.secret, anonymousSecret) ||
      (token.form === "v2" && equalTexts(token.secret, saltedSecret(anonymousSecret, clusterId)));
    return matches ? this.#anonymousIdentity(sessionTokenOf(token)) : null;
  }

  #anonymousIdentity(sessionToken: string): Identity {
    const { anonymousUser, anonymousToken } = wellKnown(this.#options.clusterId);
    return {
      user: anonymousUser,
      token: anonymousToken,
      sessionToken,
      scopes: ANONYMOUS_SCOPES,
      expiresAt: null,
      containers: [],
      vouched: false,
    };
  }

  #root(token: ParsedToken): Identity | null {
    const { systemRootToken } = this.#options;
    if (systemRootToken === "" || token.form !== "v1" || !equalTexts(token.secret, systemRootToken)) return null;
    return this.#rootIdentity(sessionTokenOf(token));
  }

  #rootIdentity(sessionToken: string): Identity {
    const { rootUser, rootToken } = wellKnown(this.#options.clusterId);
    return {
      user: rootUser,
      token: rootToken,
      sessionToken,
      scopes: ROOT_SCOPES,
      expiresAt: null,
      containers: [],
      vouched: false,
    };
  }

  #stored(token: ParsedToken, now: number): Identity | Fault {
    const row = token.form === "v2" ? this.#tokens.get(token.uuid) : this.#byBareSecret(token.secret);
    const shown = token.form === "v2" ? token.uuid : "(bare)";
    if (!row) return fault("token.unknown", { token: shown });
    if (token.form === "v2") {
      const hash = sha256(token.secret);
      if (!equalTexts(hash, row.secret_sha256) && !equalTexts(hash, row.salted_sha256)) {
        return fault("token.unknown", { token: shown });
      }
    }
    const end = this.#endOf(row, now);
    if (end) return fault(END_CODES[end], { token: row.uuid, user: row.user_uuid, limit: MAX_SCOPES });
    const wrong = token.form === "v2" && token.container !== null && this.#suffixFault(token, token.container);
    return wrong || this.#identityOf(row, sessionTokenOf(token));
  }

  #byBareSecret(secret: string): TokenRow | undefined {
    const { systemRootToken } = this.#options;
    const direct = this.#bySecret.get(sha256(secret));
    const oidc = systemRootToken === "" ? undefined : this.#bySecret.get(sha256(oidcSecret(secret, systemRootToken)));
    return this.#tokens.get(direct ?? oidc ?? "");
  }

  #suffixFault({ uuid, secret }: { uuid: string; secret: string }, container: string): Fault | null {
    return this.#containers.refusal(uuid, `v2/${uuid}/${secret}`, container);
  }

  #rowOf(sessionToken: string, alias: Alias | undefined): TokenRow | undefined {
    return this.#tokens.get(
      suffixedParts(sessionToken)?.token ?? this.#bySessionToken.get(sessionToken) ?? alias?.token ?? sessionToken,
    );
  }

  #endOf(row: TokenRow, now: number): keyof typeof END_CODES | null {
    const { user_uuid, expires_at, refreshes_at, scopes_over } = row;
    if (this.#options.isUser?.(user_uuid) === false) return "user";
    if (scopes_over) return "scopes";
    if (expires_at !== null && expires_at <= now) return "expired";
    return refreshes_at !== null && refreshes_at <= now ? "refresh" : null;
  }

  #identityOf(row: TokenRow, sessionToken: string): Identity {
    return {
      user: row.user_uuid,
      token: row.uuid,
      sessionToken,
      scopes: row.scopes,
      expiresAt: earliest(row.expires_at, row.refreshes_at),
      containers: this.#containers.ownedBy(row.uuid, sessionToken),
      vouched: false,
    };
  }

  #vouchedIdentity({ token, user, scopes, until }: Voucher, sessionToken: string): Identity {
    const containers = this.#containers.suppliedTo(sessionToken);
    return { user, token, sessionToken, scopes, expiresAt: until, containers, vouched: true };
  }

  #setToken(uuid: string, row: TokenRow | null): void {
    const old = this.#tokens.get(uuid);
    if (row?.scopes_over) this.#overScopes.add(uuid);
    else this.#overScopes.delete(uuid);
    if (old && this.#bySecret.get(old.secret_sha256) === uuid) {
      this.#bySecret.delete(old.secret_sha256);
      this.#bySessionToken.delete(bareSessionToken(old.secret_sha256));
    }
    if (!row) {
      this.#tokens.delete(uuid);
      return;
    }
    this.#tokens.set(uuid, row);
    if (row.secret_sha256 === "") return;
    this.#bySecret.set(row.secret_sha256, uuid);
    this.#bySessionToken.set(bareSessionToken(row.secret_sha256), uuid);
  }
}

function earliest(a: number | null, b: number | null): number | null {
  if (a === null) return b;
  return b === null ? a : Math.min(a, b);
}
