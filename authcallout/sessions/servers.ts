/**
 * The nats-servers that may hold sessions: every one ever seen, by event, ping or answer, and not only those that answer now: a
 * server that was stopped and goes on has its old sessions still. One leaves when its name comes back under a new id, when it says
 * that it shuts down, or when an admin declares it gone. Pure.
 */
export type Sighting = "known" | "new" | "returned" | "former";

export class Servers {
  /** Name -> id. */
  readonly #ids = new Map<string, string>();
  /** Ids whose process has certainly ended. */
  readonly #ended = new Set<string>();
  /** Ids an admin has declared gone: should one show up again, it is looked at as a new one. */
  readonly #forgotten = new Set<string>();
  readonly #silent = new Set<string>();

  /** @returns `new` and `returned` are to be made known and listed */
  seen(name: string, id: string): Sighting {
    if (this.#ended.has(id)) return "former";
    this.#silent.delete(id);
    const before = this.#ids.get(name);
    if (before === id) return "known";
    // nats-server refuses a second server of one name, so the first one has ended.
    if (before !== undefined) this.#end(before);
    this.#ids.set(name, id);
    return this.#forgotten.delete(id) ? "returned" : "new";
  }

  /** The server's own last word. */
  ended(id: string): void {
    for (const [name, known] of this.#ids) if (known === id) this.#ids.delete(name);
    this.#end(id);
  }

  /** An admin says that it is gone. Returns its id, or null where there is none of that name. */
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

  /** For people: name, id, and whether it answers. */
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
