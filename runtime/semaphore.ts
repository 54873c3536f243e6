/** Bounds how many tasks run at a time: in all, and for one key. Tasks that wait get their turn in the order in which they asked. */
type WaitingTurn = { key: string; begin: (done: () => void) => void };

export class Semaphore {
  readonly #all: number;
  readonly #perKey: number;
  readonly #underWay = new Map<string, number>();
  #count = 0;
  #waiting: WaitingTurn[] = [];

  constructor(all: number, perKey = all) {
    this.#all = all;
    this.#perKey = perKey;
  }

  /** Resolves when the turn has come, with the function that ends it. */
  acquire(key = ""): Promise<() => void> {
    return new Promise((begin) => {
      this.#waiting.push({ key, begin });
      this.#next();
    });
  }

  #next(): void {
    while (this.#count < this.#all) {
      const place = this.#waiting.findIndex(({ key }) => (this.#underWay.get(key) ?? 0) < this.#perKey);
      const [turn] = place < 0 ? [] : this.#waiting.splice(place, 1);
      if (!turn) return;
      this.#change(turn.key, 1);
      turn.begin(() => {
        this.#change(turn.key, -1);
        this.#next();
      });
    }
  }

  #change(key: string, by: 1 | -1): void {
    const count = (this.#underWay.get(key) ?? 0) + by;
    if (count > 0) this.#underWay.set(key, count);
    else this.#underWay.delete(key);
    this.#count += by;
  }
}
