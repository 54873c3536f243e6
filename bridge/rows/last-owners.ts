/**
 * The owner at which an object was last heard of: by the graph's own rows, or the last event about it. So a log row, which anybody may
 * write, cannot put a word about an object on somebody else's path. Memory is bounded; what has been forgotten is unknown. Pure.
 */
import { keepNewest } from "../../core/keep-newest.ts";
import type { LinkRow, Replacement, TokenRow } from "../../core/rows.ts";
import type { GraphRowSet } from "./graph-row-set.ts";

const REMEMBERED = 50_000;

export class LastOwners {
  /** In the order of the last word. */
  readonly #owners = new Map<string, string | null>();
  /** Links and tokens by uuid, whose kind it tells. */
  readonly #deleted = new Map<string, LinkRow | TokenRow>();

  /** Undefined: not known. Null: nobody's. */
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

  /** A commit's changes of the graph, before its events are made: they tell where objects were. */
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
