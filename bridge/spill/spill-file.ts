/**
 * A temporary file for the parts of a huge transaction that do not fit into memory. Bytes are appended and read back by their offset. The file
 * has no name once it is open, so a process that is killed leaves nothing. Reads and writes are short and synchronous.
 */
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fault, reasonOf } from "../../core/errors.ts";
import { keepNewest } from "../../core/keep-newest.ts";

const WRITE_BYTES = 256 * 1024;
/** Pages that are kept after reading. */
const PAGE_BYTES = 64 * 1024;
const PAGES = 128;

export class SpillFile {
  readonly #folder: string;
  readonly #fd: number;
  readonly #buffer = Buffer.allocUnsafe(WRITE_BYTES);
  /** In the order of their last use. */
  readonly #pages = new Map<number, Buffer>();
  #buffered = 0;
  #written = 0;

  /** @throws spill.failed */
  constructor(folder = tmpdir()) {
    this.#folder = folder;
    this.#fd = this.#guarded(() => {
      const own = mkdtempSync(join(folder, "arvados-nats-"));
      try {
        return openSync(join(own, "spill"), "w+", 0o600);
      } finally {
        rmSync(own, { recursive: true });
      }
    });
  }

  get size(): number {
    return this.#written + this.#buffered;
  }

  /** Returns the offset of the bytes. @throws spill.failed */
  append(bytes: Buffer): number {
    const offset = this.size;
    if (bytes.length > WRITE_BYTES - this.#buffered) this.#flush();
    if (bytes.length > WRITE_BYTES) this.#write(bytes);
    else {
      bytes.copy(this.#buffer, this.#buffered);
      this.#buffered += bytes.length;
    }
    return offset;
  }

  /** `length` bytes from `offset` on, fewer at the end of the file. @throws spill.failed */
  read(offset: number, length: number): Buffer {
    this.#flush();
    const end = Math.min(offset + length, this.#written);
    const page = Math.floor(offset / PAGE_BYTES);
    const isWhole = (page + 1) * PAGE_BYTES <= this.#written;
    if (!isWhole || end > (page + 1) * PAGE_BYTES) return this.#readBytes(offset, end);
    const start = page * PAGE_BYTES;
    return this.#page(page).subarray(offset - start, end - start);
  }

  /** Bytes that are read once are often read again, or their neighbours are. */
  #page(number: number): Buffer {
    const page = this.#pages.get(number) ?? this.#readBytes(number * PAGE_BYTES, (number + 1) * PAGE_BYTES);
    keepNewest(this.#pages, PAGES, number, page);
    return page;
  }

  #readBytes(offset: number, end: number): Buffer {
    const bytes = Buffer.allocUnsafe(Math.max(0, end - offset));
    for (let done = 0; done < bytes.length; ) {
      const count = this.#guarded(() => readSync(this.#fd, bytes, done, bytes.length - done, offset + done));
      if (count === 0) throw fault("spill.failed", { folder: this.#folder, reason: "the file ends early" });
      done += count;
    }
    return bytes;
  }

  close(): void {
    closeSync(this.#fd);
  }

  #flush(): void {
    if (this.#buffered === 0) return;
    const bytes = this.#buffer.subarray(0, this.#buffered);
    this.#buffered = 0;
    this.#write(bytes);
  }

  #write(bytes: Buffer): void {
    for (let done = 0; done < bytes.length; ) {
      const count = this.#guarded(() => writeSync(this.#fd, bytes, done, bytes.length - done, this.#written));
      done += count;
      this.#written += count;
    }
  }

  #guarded<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw fault("spill.failed", { folder: this.#folder, reason: reasonOf(error) }, { cause: error });
    }
  }
}
