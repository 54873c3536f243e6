/** A list in memory up to a number of bytes, and then in a temporary file. Items are JSON values; each is found by its offset. */
import { SpillFile } from "./spill-file.ts";

const READ_BYTES = 256 * 1024;
const LENGTH_BYTES = 4;

export type SpillOptions = {
  /** Bytes in memory before the file is used. */
  limit: number;
  /** Folder of the file. Default: the system's temporary folder. */
  folder?: string;
};

/** A commit's rows may need so much memory, and so may its log rows. */
export const COMMIT_MEMORY: SpillOptions = { limit: 16 * 1024 * 1024 };

export class SpillList<T> implements Iterable<T> {
  readonly #options: SpillOptions;
  #items: T[] = [];
  #bytes = 0;
  #length = 0;
  #file: SpillFile | null = null;

  constructor(options: SpillOptions) {
    this.#options = options;
  }

  get length(): number {
    return this.#length;
  }

  /** Is the list in a file? Offsets from before are not valid any more. */
  get isSpilled(): boolean {
    return this.#file !== null;
  }

  /** @param bytes approximate memory of the item */
  append(item: T, bytes: number): void {
    this.#length++;
    this.#bytes += bytes;
    if (this.#file) return this.#write(this.#file, item);
    this.#items.push(item);
    if (this.#bytes > this.#options.limit) this.#spill();
  }

  *[Symbol.iterator](): Generator<T, void, void> {
    for (const [, item] of this.entries()) yield item;
  }

  /** Each item with its offset, in order. */
  *entries(): Generator<[offset: number, item: T], void, void> {
    if (!this.#file) {
      yield* this.#items.entries();
      return;
    }
    let offset = 0;
    let chunk: Buffer = Buffer.alloc(0);
    let at = 0;
    while (offset < this.#file.size) {
      let length = at + LENGTH_BYTES <= chunk.length ? chunk.readUInt32LE(at) : -1;
      if (length < 0 || at + LENGTH_BYTES + length > chunk.length) {
        chunk = this.#file.read(offset, READ_BYTES);
        length = chunk.readUInt32LE(0);
        if (LENGTH_BYTES + length > chunk.length) chunk = this.#file.read(offset, LENGTH_BYTES + length);
        at = 0;
      }
      const start = at + LENGTH_BYTES;
      yield [offset, JSON.parse(chunk.toString("utf8", start, start + length)) as T];
      at = start + length;
      offset += LENGTH_BYTES + length;
    }
  }

  at(offset: number): T {
    if (!this.#file) return this.#items[offset] as T;
    const length = this.#file.read(offset, LENGTH_BYTES).readUInt32LE(0);
    return JSON.parse(this.#file.read(offset + LENGTH_BYTES, length).toString("utf8")) as T;
  }

  close(): void {
    this.#file?.close();
    this.#file = null;
    this.#items = [];
    this.#length = 0;
  }

  #spill(): void {
    const file = new SpillFile(this.#options.folder);
    for (const item of this.#items) this.#write(file, item);
    this.#file = file;
    this.#items = [];
  }

  #write(file: SpillFile, item: T): void {
    const text = Buffer.from(JSON.stringify(item));
    const length = Buffer.allocUnsafe(LENGTH_BYTES);
    length.writeUInt32LE(text.length);
    file.append(length);
    file.append(text);
  }
}
