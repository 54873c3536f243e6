/**
 * The last known owner of each object: by the graph's rows, or by the last event about it. A log row, which any token holder may write, therefore
 * cannot direct an event to another user's path. Memory is bounded; a forgotten owner is unknown. Pure.
 */
import { keepNewest } from "../../core/keep-newest.ts";
import type { LinkRow, Replacement, TokenRow } from "../../core/rows.ts";
import type { GraphRowSet } from "./graph-row-set.ts";

const REMEMBERED = 50_000;

export class LastOwners {
  /** The last noted one is last. */
  readonly #owners = new Map<string, string | null>();
  /** Links and tokens that the current commit deleted. */
  readonly #deleted = new Map<string, LinkRow | TokenRow>();

  /** Undefined: not known. Null: it has no owner. */
  of(uuid: string, state: GraphRowSet): string | null | undefined {
    const noted = this.#owners.get(uuid);
    if (noted !== undefined) return noted;
    const row =
      state.row("group", uuid) ?? state.row("user", uuid) ?? state.row("cr", uuid) ?? state.row("owner", uuid);
    return row?.owner_uuid;
  }

  note(uuid: string, owner: string | null): void {
    keepNewest(this.#owners, REMEMBERED, uuid, owner);
  }

  /** The graph changes of a commit, before its events are made: they hold the former owners. */
  replaced(changes: Iterable<Replacement>): void {
    this.#deleted.clear();
    for (const { kind, uuid, row, replaced } of changes) {
      if (replaced === null || kind === "container") continue;
      if (kind === "token" || kind === "link") {
        if (row === null) this.#deleted.set(uuid, replaced);
      } else this.note(uuid, replaced.owner_uuid);
    }
  }

  /** The permission link that this commit deleted. */
  deletedLink(uuid: string): LinkRow | undefined {
    return this.#deleted.get(uuid) as LinkRow | undefined;
  }

  /** The token that this commit deleted. */
  deletedToken(uuid: string): TokenRow | undefined {
    return this.#deleted.get(uuid) as TokenRow | undefined;
  }
}
