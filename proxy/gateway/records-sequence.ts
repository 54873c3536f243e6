/**
 * RECORDS' last sequence, read after the call: with an older one a client would believe that it had received events that it had not. Calls
 * during a read wait for the next read and share it, so there is one read at a time.
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
