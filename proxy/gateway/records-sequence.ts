/**
 * RECORDS' last sequence, as of a moment after it was asked for: an older one would have a client believe that it has heard what it has not. Who
 * asks while a read is under way waits for the next one, together with all others: as many reads as fit one behind the other, not one each.
 */
export class RecordsSequence {
  readonly #read: () => Promise<number>;
  #underWay: Promise<unknown> = Promise.resolve();
  #next: Promise<number> | null = null;

  constructor(read: () => Promise<number>) {
    this.#read = read;
  }

  now(): Promise<number> {
    this.#next ??= this.#underWay
      .catch(() => undefined)
      .then(() => {
        this.#next = null;
        const reading = this.#read();
        this.#underWay = reading;
        return reading;
      });
    return this.#next;
  }
}
