/** A first-in, first-out queue: in memory up to a number of bytes, and then in a temporary file until the queue is empty again. */
import { SpillList, type SpillOptions } from "./spill-list.ts";

export class SpillQueue<T> {
  readonly #options: SpillOptions;
  /** The next items. */
  #head: { item: T; bytes: number }[] = [];
  #headBytes = 0;
  /** The items after the head; the first `#read` of them are in the head already. */
  #spilled: SpillList<{ item: T; bytes: number }> | null = null;
  #reader: Iterator<{ item: T; bytes: number }, void> | null = null;
  #read = 0;
  #bytes = 0;

  constructor(options: SpillOptions) {
    this.#options = options;
  }

  /** Of all items, in memory or in the file. */
  get bytes(): number {
    return this.#bytes;
  }

  /** @param bytes approximate memory of the item */
  push(item: T, bytes: number): void {
    this.#bytes += bytes;
    if (this.#spilled === null && this.#headBytes + bytes <= this.#options.limit) {
      this.#head.push({ item, bytes });
      this.#headBytes += bytes;
      return;
    }
    this.#spilled ??= new SpillList({ ...this.#options, limit: 0 });
    this.#spilled.append({ item, bytes }, bytes);
  }

  /** The next item, which stays in the queue; undefined = the queue is empty. */
  peek(): T | undefined {
    if (this.#head.length === 0) this.#refill();
    return this.#head[0]?.item;
  }

  shift(): void {
    const first = this.#head.shift();
    if (!first) return;
    this.#headBytes -= first.bytes;
    this.#bytes -= first.bytes;
  }

  close(): void {
    this.#spilled?.close();
    this.#spilled = this.#reader = null;
    this.#head = [];
    this.#bytes = this.#headBytes = this.#read = 0;
  }

  #refill(): void {
    const spilled = this.#spilled;
    if (spilled === null) return;
    this.#reader ??= spilled[Symbol.iterator]();
    while (this.#read < spilled.length && this.#headBytes < this.#options.limit / 2) {
      const { value } = this.#reader.next();
      if (!value) break;
      this.#read++;
      this.#head.push(value);
      this.#headBytes += value.bytes;
    }
    if (this.#read < spilled.length) return;
    spilled.close();
    this.#spilled = this.#reader = null;
    this.#read = 0;
  }
}
