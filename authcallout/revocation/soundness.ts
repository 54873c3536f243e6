/**
 * Whether a session may go on: its rights are those of the graph now, or at most fewer. A session that differs but was given its
 * rights after its user last lost any has only missed what was added, and lives. Pure.
 */
import { atLeast, NO_REVISION, type Revision } from "../../core/revision.ts";
import { type SessionName, sessionLookupKeys } from "../../core/session/session.ts";

/**
 * The last three: the token is good for nothing any more. `uncertain` where somebody else may still vouch for it, `deactivated` where
 * its user is gone or not active either.
 */
export type Soundness = "same" | "outgrown" | "unsound" | "void" | "uncertain" | "deactivated";

export class RightsHistory {
  #loaded: Revision = NO_REVISION;
  /** User, token or container -> when it last lost something, be it only what older sessions may hold (`outdated`). */
  readonly #lost = new Map<string, Revision>();

  /** The graph was read from nothing: what was lost before is not known. */
  loaded(revision: Revision): void {
    this.#loaded = revision;
    this.#lost.clear();
  }

  lost(lookupKeys: Iterable<string>, revision: Revision): void {
    for (const lookupKey of lookupKeys) this.#lost.set(lookupKey, revision);
  }

  /**
   * @param hash of the rights as the graph has them now
   * @param identity whose the token is now; the token's uuid, which a bare token's session is not named for; and whether it is vouched for
   * only: then its row may have come and gone since, and nothing else would tell
   */
  judge(
    name: SessionName,
    hash: string,
    identity?: { token: string; user?: string; vouched?: boolean },
  ): Exclude<Soundness, "void" | "deactivated"> {
    const token = identity?.token;
    if (identity?.vouched && !atLeast(name.revision, this.#lossOf(identity.token))) return "uncertain";
    // Two users may have the same rights, admins for one, and notices and changes find a session by its user.
    if (identity?.user !== undefined && identity.user !== name.user) return "unsound";
    if (hash === name.hash) return "same";
    const lookupKeys = token === undefined ? sessionLookupKeys(name) : [...sessionLookupKeys(name), token];
    return lookupKeys.every((lookupKey) => atLeast(name.revision, this.#lossOf(lookupKey))) ? "outgrown" : "unsound";
  }

  #lossOf(lookupKey: string): Revision {
    return this.#lost.get(lookupKey) ?? this.#loaded;
  }
}
