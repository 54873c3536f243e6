/**
 * A temporary file for what a huge transaction leaves no room for in memory: bytes are appended and read back by their place. The file has
 * no name once it is open, so a process that dies leaves nothing behind. Reads and writes are short, and synchronous.
 */
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fault, reasonOf } from "../../core/errors.ts";
import { keepNewest } from "../../core/keep-newest.ts";

const WRITE_BYTES = 256 * 1024;
/** Pages kept of what was read. */
const PAGE_BYTES = 64 * 1024;
const PAGES = 128;

export class SpillFile {
  readonly #fd: number;
  readonly #buffer = Buffer.allocUnsafe(WRITE_BYTES);
  /** In the order of their last use. */
  readonly #pages = new Map<number, Buffer>();
  #buffered = 0;
  #written = 0;

  /** @throws spill.failed */
  constructor(folder = tmpdir()) {
    this.#fd = guarded(folder, () => {
      const place = mkdtempSync(join(folder, "arvados-nats-"));
      try {
        return openSync(join(place, "spill"), "w+", 0o600);
      } finally {
        rmSync(place, { recursive: true });
      }
    });
  }

  get size(): number {
    return this.#written + this.#buffered;
  }

  /** Returns where the bytes begin. @throws spill.failed */
  append(bytes: Buffer): number {
    const place = this.size;
    if (bytes.length > WRITE_BYTES - this.#buffered) this.#flush();
    if (bytes.length > WRITE_BYTES) this.#write(bytes);
    else {
      bytes.copy(this.#buffer, this.#buffered);
      this.#buffered += bytes.length;
    }
    return place;
  }

  /** Up to `length` bytes from `place` on: fewer at the end. @throws spill.failed */
  read(place: number, length: number): Buffer {
    this.#flush();
    const end = Math.min(place + length, this.#written);
    const page = Math.floor(place / PAGE_BYTES);
    const isWhole = (page + 1) * PAGE_BYTES <= this.#written;
    if (!isWhole || end > (page + 1) * PAGE_BYTES) return this.#readBytes(place, end);
    const start = page * PAGE_BYTES;
    return this.#page(page).subarray(place - start, end - start);
  }

  /** What is read once is mostly read again, or what stands beside it. */
  #page(number: number): Buffer {
    const page = this.#pages.get(number) ?? this.#readBytes(number * PAGE_BYTES, (number + 1) * PAGE_BYTES);
    keepNewest(this.#pages, PAGES, number, page);
    return page;
  }

  #readBytes(place: number, end: number): Buffer {
    const bytes = Buffer.allocUnsafe(Math.max(0, end - place));
    for (let done = 0; done < bytes.length; ) {
      const count = guarded("", () => readSync(this.#fd, bytes, done, bytes.length - done, place + done));
      if (count === 0) throw fault("spill.failed", { folder: "", reason: "the file ends early" });
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
      const count = guarded("", () => writeSync(this.#fd, bytes, done, bytes.length - done, this.#written));
      done += count;
      this.#written += count;
    }
  }
}

function guarded<T>(folder: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw fault(
      "spill.failed",
      { folder: folder || "the temporary folder", reason: reasonOf(error) },
      { cause: error },
    );
  }
}
