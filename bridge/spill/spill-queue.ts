/** First in, first out: in memory up to a number of bytes, and in a temporary file beyond, until the queue is empty again. */
import { SpillList, type SpillOptions } from "./spill-list.ts";

export class SpillQueue<T> {
  readonly #options: SpillOptions;
  /** What goes out next. */
  #head: { item: T; bytes: number }[] = [];
  #headBytes = 0;
  /** Behind the head; its first `#read` items are in the head already. */
  #tail: SpillList<{ item: T; bytes: number }> | null = null;
  #reader: Iterator<{ item: T; bytes: number }, void> | null = null;
  #read = 0;
  #bytes = 0;

  constructor(options: SpillOptions) {
    this.#options = options;
  }

  /** Of all items, in memory or not. */
  get bytes(): number {
    return this.#bytes;
  }

  /** @param bytes about how much memory the item takes */
  push(item: T, bytes: number): void {
    this.#bytes += bytes;
    if (this.#tail === null && this.#headBytes + bytes <= this.#options.limit) {
      this.#head.push({ item, bytes });
      this.#headBytes += bytes;
      return;
    }
    this.#tail ??= new SpillList({ ...this.#options, limit: 0 });
    this.#tail.append({ item, bytes }, bytes);
  }

  /** The next item, which stays; undefined = the queue is empty. */
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
    this.#tail?.close();
    this.#tail = this.#reader = null;
    this.#head = [];
    this.#bytes = this.#headBytes = this.#read = 0;
  }

  #refill(): void {
    const tail = this.#tail;
    if (tail === null) return;
    this.#reader ??= tail[Symbol.iterator]();
    while (this.#read < tail.length && this.#headBytes < this.#options.limit / 2) {
      const { value } = this.#reader.next();
      if (!value) break;
      this.#read++;
      this.#head.push(value);
      this.#headBytes += value.bytes;
    }
    if (this.#read < tail.length) return;
    tail.close();
    this.#tail = this.#reader = null;
    this.#read = 0;
  }
}
