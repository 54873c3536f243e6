/**
 * Who a token belongs to, answered from memory: the token and container rows of GRAPH, by uuid, by secret hash and by session token.
 * Holds SHA-256 hashes only. Rules: docs/arvados-permissions.md 5.
 */
import { timingSafeEqual } from "node:crypto";
import { type Fault, fault } from "../errors.ts";
import { type ContainerRow, type GraphChange, isAlive, type TokenRow } from "../rows.ts";
import { wellKnown } from "../uuid.ts";
import type { Alias, Voucher } from "./aliases.ts";
import { MAX_SCOPES } from "./scopes.ts";
import { hashesOf, provesRuntimeToken, provesToken, secretProof } from "./secret-proof.ts";
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
  /** UTC milliseconds after which the token is void; null = never. */
  expiresAt: number | null;
  /** Containers whose own token this is. */
  containers: readonly string[];
  /** Arvados' API speaks for it, and no row that would show what becomes of it. */
  vouched: boolean;
};

export type TokenIndexOptions = {
  clusterId: string;
  /** Empty = none. */
  systemRootToken: string;
  /** Sessions whose token is not to be told from their session token. Shared, and outlives the index. */
  aliases?: { get(session: string): Alias | undefined };
  /** Users.AnonymousUserToken reduced to its secret; empty = anonymous access is off. */
  anonymousSecret: string;
  /** Is there a user of this uuid, who was not merged into another? Left out: always. */
  isUser?: (uuid: string) => boolean;
};

/** Why a session's token is good for nothing: `unknown` = no row stands for it. */
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
/** Arvados makes a token for each container. One that many name, by whatever hand, is none of theirs: it may publish no log. */
const MAX_CONTAINERS = 64;
const NO_CONTAINERS: ReadonlySet<string> = new Set();

export class TokenIndex {
  readonly #options: TokenIndexOptions;
  readonly #tokens = new Map<string, TokenRow>();
  readonly #bySecret = new Map<string, string>();
  readonly #containers = new Map<string, ContainerRow>();
  readonly #containersByAuth = new Map<string, Set<string>>();
  /** `h…` session tokens of bare secrets -> token uuid. */
  readonly #bySession = new Map<string, string>();

  /** Tokens that are good for nothing, for they have too many scopes. */
  readonly #overScopes = new Set<string>();

  /** Session tokens of the settings' own tokens; computed once, for every login and listing compares with them. */
  readonly #anonymousSessions: ReadonlySet<string>;
  readonly #rootSession: string | null;
  readonly #anonymousHashes: Pick<TokenRow, "secret_sha256" | "salted_sha256">;

  constructor(options: TokenIndexOptions) {
    this.#options = options;
    const { clusterId, systemRootToken, anonymousSecret } = options;
    const bare = (secret: string) => bareSessionToken(sha256(secret));
    const anonymous = [wellKnown(clusterId).anonymousToken, bare(anonymousSecret)];
    this.#anonymousSessions = new Set(anonymousSecret === "" ? [] : anonymous);
    this.#anonymousHashes = hashesOf(anonymousSecret, clusterId);
    this.#rootSession = systemRootToken === "" ? null : bare(systemRootToken);
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
        for (const auth of this.#setContainer(change.uuid, change.row)) changedKeys.add(auth);
        changedKeys.add(change.uuid);
      }
    }
    return changedKeys;
  }

  /** Whose token this is, or the fault that says why it is refused. */
  identify(token: ParsedToken, now: number): Identity | Fault {
    return this.#anonymous(token) ?? this.#root(token) ?? this.#stored(token, now);
  }

  /** Whose token this is by what Arvados' API says, for one that no row stands for: a row that stands decides alone. */
  identifyVouched(token: ParsedToken, voucher: Voucher, now: number): Identity | Fault {
    if (this.#tokens.has(voucher.token)) return fault("lookup.unavailable", { reason: "its row here says otherwise" });
    if (voucher.scopes_over) return fault("token.scopes", { token: voucher.token, limit: MAX_SCOPES });
    if (voucher.until <= now) return fault("token.expired", { token: voucher.token });
    const wrong = token.form === "v2" && token.container !== null && this.#suffixFault(token, token.container);
    return wrong || this.#vouchedIdentity(voucher, sessionTokenOf(token));
  }

  /** The identity behind a session's subject, for a session that nats-server has let in. */
  bySessionToken(key: string, now: number): Identity | null {
    if (this.#anonymousSessions.has(key)) return this.#anonymousIdentity(key);
    if (key === this.#rootSession) return this.#rootIdentity(key);
    if (this.#suffixEnded(key)) return null;
    const alias = this.#options.aliases?.get(key);
    const row = this.#rowOf(key, alias);
    if (row) return this.#endOf(row, now) ? null : this.#identityOf(row, key);
    const voucher = alias?.voucher;
    return voucher && !voucher.scopes_over && voucher.until > now ? this.#vouchedIdentity(voucher, key) : null;
  }

  /** What stands in the name of a session that this token lets in. */
  proofOf(token: ParsedToken): string {
    return secretProof(token, this.#options.systemRootToken);
  }

  /**
   * Do the rows, or the settings, still have the secret that let this session in? True also where no row stands, and for a session that an
   * earlier version let in, which has no proof.
   */
  isProven(key: string, proof: string | undefined): boolean {
    if (proof === undefined || key === this.#rootSession) return true;
    const { anonymousToken } = wellKnown(this.#options.clusterId);
    if (key === anonymousToken) return provesToken(proof, key, this.#anonymousHashes);
    const container = this.#containers.get(suffixedParts(key)?.container ?? "");
    if (container && !provesRuntimeToken(proof, container)) return false;
    const row = this.#rowOf(key, this.#options.aliases?.get(key));
    return !row || provesToken(proof, key, row);
  }

  /** Why `bySessionToken` knows nobody. */
  endOf(key: string, now: number): TokenEnd {
    if (this.#suffixEnded(key)) return "container";
    const row = this.#rowOf(key, this.#options.aliases?.get(key));
    return (row && this.#endOf(row, now)) ?? "unknown";
  }

  #anonymous(token: ParsedToken): Identity | null {
    const { clusterId, anonymousSecret } = this.#options;
    // HMAC with an empty key is a value anybody can compute: with no setting there is no anonymous token.
    if (anonymousSecret === "") return null;
    if (token.form === "v2" && token.uuid !== wellKnown(clusterId).anonymousToken) return null;
    if (token.form === "v2" && token.container !== null) return null;
    const matches =
      equal(token.secret, anonymousSecret) ||
      (token.form === "v2" && equal(token.secret, saltedSecret(anonymousSecret, clusterId)));
    return matches ? this.#anonymousIdentity(sessionTokenOf(token)) : null;
  }

  #anonymousIdentity(key: string): Identity {
    const { anonymousUser, anonymousToken } = wellKnown(this.#options.clusterId);
    return {
      user: anonymousUser,
      token: anonymousToken,
      sessionToken: key,
      scopes: ANONYMOUS_SCOPES,
      expiresAt: null,
      containers: [],
      vouched: false,
    };
  }

  #root(token: ParsedToken): Identity | null {
    const { systemRootToken } = this.#options;
    if (systemRootToken === "" || token.form !== "v1" || !equal(token.secret, systemRootToken)) return null;
    return this.#rootIdentity(sessionTokenOf(token));
  }

  #rootIdentity(key: string): Identity {
    const { rootUser, rootToken } = wellKnown(this.#options.clusterId);
    return {
      user: rootUser,
      token: rootToken,
      sessionToken: key,
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
      if (!equal(hash, row.secret_sha256) && !equal(hash, row.salted_sha256)) {
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
    return this.#containerFault(uuid, `v2/${uuid}/${secret}`, container);
  }

  /** `plain` is the token without its suffix, or null for a session that has already shown it. */
  #containerFault(token: string, plain: string | null, container: string): Fault | null {
    const row = this.#containers.get(container);
    // Arvados checks the suffix against a container it has, and lets an unknown one pass.
    if (!row) return null;
    const refuse = (reason: string) => fault("token.container", { token, container, reason });
    if (row.auth_uuid !== null && row.auth_uuid !== token) return refuse("it is another token's container");
    if (plain !== null && row.runtime_token_sha256 !== null && !equal(sha256(plain), row.runtime_token_sha256)) {
      return refuse("it runs with another token");
    }
    if (!isAlive(row)) return refuse(`its state is ${row.state}`);
    return null;
  }

  #suffixEnded(key: string): boolean {
    const suffixed = suffixedParts(key);
    return suffixed !== null && this.#containerFault(suffixed.token, null, suffixed.container) !== null;
  }

  #rowOf(key: string, alias: Alias | undefined): TokenRow | undefined {
    return this.#tokens.get(suffixedParts(key)?.token ?? this.#bySession.get(key) ?? alias?.token ?? key);
  }

  #endOf(row: TokenRow, now: number): keyof typeof END_CODES | null {
    const { user_uuid, expires_at, refreshes_at, scopes_over } = row;
    if (this.#options.isUser?.(user_uuid) === false) return "user";
    if (scopes_over) return "scopes";
    if (expires_at !== null && expires_at <= now) return "expired";
    return refreshes_at !== null && refreshes_at <= now ? "refresh" : null;
  }

  #identityOf(row: TokenRow, key: string): Identity {
    return {
      user: row.user_uuid,
      token: row.uuid,
      sessionToken: key,
      scopes: row.scopes,
      expiresAt: earliest(row.expires_at, row.refreshes_at),
      containers: [...this.#madeFor(row.uuid), ...this.#suppliedTo(key)].sort(),
      vouched: false,
    };
  }

  #vouchedIdentity({ token, user, scopes, until }: Voucher, key: string): Identity {
    const containers = this.#suppliedTo(key);
    return { user, token, sessionToken: key, scopes, expiresAt: until, containers, vouched: true };
  }

  /** The containers that the token was made for. */
  #madeFor(token: string): ReadonlySet<string> {
    const containers = this.#containersByAuth.get(token) ?? NO_CONTAINERS;
    return containers.size > MAX_CONTAINERS ? NO_CONTAINERS : containers;
  }

  /**
   * The container that was given its token instead of getting one. Such a token is somebody's for other things too: it is the
   * container's own as sent with the suffix, which was compared with the row when it was shown, and not without.
   */
  #suppliedTo(key: string): string[] {
    const { container = "" } = suffixedParts(key) ?? {};
    const row = this.#containers.get(container);
    return row && isAlive(row) && row.auth_uuid === null && row.runtime_token_sha256 !== null ? [container] : [];
  }

  #setToken(uuid: string, row: TokenRow | null): void {
    const old = this.#tokens.get(uuid);
    if (row?.scopes_over) this.#overScopes.add(uuid);
    else this.#overScopes.delete(uuid);
    if (old && this.#bySecret.get(old.secret_sha256) === uuid) {
      this.#bySecret.delete(old.secret_sha256);
      this.#bySession.delete(bareSessionToken(old.secret_sha256));
    }
    if (!row) {
      this.#tokens.delete(uuid);
      return;
    }
    this.#tokens.set(uuid, row);
    if (row.secret_sha256 === "") return;
    this.#bySecret.set(row.secret_sha256, uuid);
    this.#bySession.set(bareSessionToken(row.secret_sha256), uuid);
  }

  #setContainer(uuid: string, row: ContainerRow | null): string[] {
    const old = this.#containers.get(uuid);
    if (row) this.#containers.set(uuid, row);
    else this.#containers.delete(uuid);
    const before = old ? ownTokenOf(old) : null;
    const after = row ? ownTokenOf(row) : null;
    if (before === after) return [];
    if (before !== null) this.#containersByAuth.get(before)?.delete(uuid);
    if (before !== null && this.#containersByAuth.get(before)?.size === 0) this.#containersByAuth.delete(before);
    if (after !== null) {
      const set = this.#containersByAuth.get(after) ?? new Set();
      this.#containersByAuth.set(after, set.add(uuid));
    }
    return [before, after].filter((token) => token !== null);
  }
}

/** The token that was made for a container, while it is good. */
function ownTokenOf(row: ContainerRow): string | null {
  return isAlive(row) ? row.auth_uuid : null;
}

function earliest(a: number | null, b: number | null): number | null {
  if (a === null) return b;
  return b === null ? a : Math.min(a, b);
}

function equal(a: string, b: string): boolean {
  const left = Buffer.from(a);
  const right = Buffer.from(b);
  return left.length === right.length && timingSafeEqual(left, right);
}
