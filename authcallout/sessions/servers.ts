/**
 * The nats-servers that may hold sessions: every server ever seen by event, ping or answer, also if it does not answer now, because a
 * server that was suspended and resumes still has its sessions. A server leaves if its name returns under a new id, if it announces its
 * shutdown, or if an admin declares it gone. Pure.
 */
export type Sighting = "known" | "new" | "returned" | "former";

export class Servers {
  /** Name -> id. */
  readonly #ids = new Map<string, string>();
  /** Ids whose process has certainly ended. */
  readonly #ended = new Set<string>();
  /** Ids that an admin has declared gone: one that is seen again counts as new. */
  readonly #forgotten = new Set<string>();
  readonly #silent = new Set<string>();

  /** @returns `new` and `returned`: write the server into BARRIER and list its sessions */
  seen(name: string, id: string): Sighting {
    if (this.#ended.has(id)) return "former";
    this.#silent.delete(id);
    const before = this.#ids.get(name);
    if (before === id) return "known";
    // A cluster refuses a second server of the same name, so the first one has ended.
    if (before !== undefined) this.#end(before);
    this.#ids.set(name, id);
    return this.#forgotten.delete(id) ? "returned" : "new";
  }

  /** The server announced its shutdown. */
  ended(id: string): void {
    for (const [name, known] of this.#ids) if (known === id) this.#ids.delete(name);
    this.#end(id);
  }

  /** An admin declared it gone. Returns its id, or null if there is no server of that name. */
  forget(name: string): string | null {
    const id = this.#ids.get(name);
    if (id === undefined) return null;
    this.#ids.delete(name);
    this.#silent.delete(id);
    this.#forgotten.add(id);
    return id;
  }

  /** It did not answer. */
  silent(id: string): void {
    if (this.has(id)) this.#silent.add(id);
  }

  has(id: string): boolean {
    for (const known of this.#ids.values()) if (known === id) return true;
    return false;
  }

  ids(): string[] {
    return [...this.#ids.values()];
  }

  /** Name, id, and whether it answers, for `/readyz` and `servers`. */
  all(): { name: string; id: string; silent: boolean }[] {
    return [...this.#ids].map(([name, id]) => ({ name, id, silent: this.#silent.has(id) }));
  }

  get silentCount(): number {
    return this.#silent.size;
  }

  #end(id: string): void {
    this.#ended.add(id);
    this.#silent.delete(id);
  }
}
