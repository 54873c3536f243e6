/**
 * The containers of GRAPH as tokens need them: whose own token a token is, and whether a token that names a container may go with it.
 * The token index owns one. Pure. Rules: docs/arvados-permissions.md 5.
 */
import { type Fault, fault } from "../errors.ts";
import { type ContainerRow, isAlive } from "../rows.ts";
import { equalTexts } from "./equal-texts.ts";
import { provesRuntimeToken } from "./secret-proof.ts";
import { sha256, suffixedParts } from "./token.ts";

/** Arvados makes a token for each container. One that many rows name belongs to none of them: it may publish no log. */
const MAX_CONTAINERS = 64;
const NO_CONTAINERS: ReadonlySet<string> = new Set();

export class ContainerIndex {
  readonly #containers = new Map<string, ContainerRow>();
  /** Token uuid -> the containers that it was made for. */
  readonly #byToken = new Map<string, Set<string>>();

  /** Returns the tokens that became, or ceased to be, the container's own. */
  set(uuid: string, row: ContainerRow | null): string[] {
    const old = this.#containers.get(uuid);
    if (row) this.#containers.set(uuid, row);
    else this.#containers.delete(uuid);
    const before = old ? ownTokenOf(old) : null;
    const after = row ? ownTokenOf(row) : null;
    if (before === after) return [];
    if (before !== null) this.#byToken.get(before)?.delete(uuid);
    if (before !== null && this.#byToken.get(before)?.size === 0) this.#byToken.delete(before);
    if (after !== null) {
      const containers = this.#byToken.get(after) ?? new Set();
      this.#byToken.set(after, containers.add(uuid));
    }
    return [before, after].filter((token) => token !== null);
  }

  /** Containers whose own token this is, in the session of this session token. */
  ownedBy(token: string, sessionToken: string): string[] {
    return [...this.#madeFor(token), ...this.suppliedTo(sessionToken)].sort();
  }

  /**
   * The container that was given its token instead of getting one. Such a token serves its user for other things too. It counts as the
   * container's own only with the suffix, because that form was compared with the row at login.
   */
  suppliedTo(sessionToken: string): string[] {
    const { container = "" } = suffixedParts(sessionToken) ?? {};
    const row = this.#containers.get(container);
    return row && isAlive(row) && row.auth_uuid === null && row.runtime_token_sha256 !== null ? [container] : [];
  }

  /** Why the token does not go with the container that it names, if so. `plain`: the token without its suffix; null for a session. */
  refusal(token: string, plain: string | null, container: string): Fault | null {
    const row = this.#containers.get(container);
    // Arvados checks the suffix against a container it has, and lets an unknown one pass.
    if (!row) return null;
    const refuse = (reason: string) => fault("token.container", { token, container, reason });
    if (row.auth_uuid !== null && row.auth_uuid !== token) return refuse("it is another token's container");
    if (plain !== null && row.runtime_token_sha256 !== null && !equalTexts(sha256(plain), row.runtime_token_sha256)) {
      return refuse("it runs with another token");
    }
    if (!isAlive(row)) return refuse(`its state is ${row.state}`);
    return null;
  }

  /** Is a session over because of the container that its session token names? */
  hasEnded(sessionToken: string): boolean {
    const suffixed = suffixedParts(sessionToken);
    return suffixed !== null && this.refusal(suffixed.token, null, suffixed.container) !== null;
  }

  /** Does the container that a session token names, if any, still run with the token of this proof? */
  isProven(sessionToken: string, proof: string): boolean {
    const container = this.#containers.get(suffixedParts(sessionToken)?.container ?? "");
    return !container || provesRuntimeToken(proof, container);
  }

  #madeFor(token: string): ReadonlySet<string> {
    const containers = this.#byToken.get(token) ?? NO_CONTAINERS;
    return containers.size > MAX_CONTAINERS ? NO_CONTAINERS : containers;
  }
}

/** The token that was made for a container, while it is good. */
function ownTokenOf(row: ContainerRow): string | null {
  return isAlive(row) ? row.auth_uuid : null;
}
