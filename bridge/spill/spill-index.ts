/**
 * Finds offsets by name where there are too many for memory: sorted runs in a temporary file, of which memory holds only every 256th entry.
 * Different names may share a hash, so the caller compares the item at the offset.
 */
import { SpillFile } from "./spill-file.ts";

/** Entries of a run: the hash of 32 bits and the number of an entry together fit into a float exactly. */
const RUN = 2 ** 20;
const BLOCK = 256;
const ENTRY_BYTES = 16;

type IndexRun = { start: number; length: number /** Each block's first hash. */; firsts: Uint32Array };

export class SpillIndex {
  readonly #file: SpillFile;
  readonly #runs: IndexRun[] = [];
  readonly #keys = new Float64Array(RUN);
  readonly #offsets = new Float64Array(RUN);
  #count = 0;

  constructor(folder?: string) {
    this.#file = new SpillFile(folder);
  }

  add(name: string, offset: number): void {
    this.#keys[this.#count] = hashOf(name) * RUN + this.#count;
    this.#offsets[this.#count] = offset;
    if (++this.#count === RUN) this.seal();
  }

  /** To be called after the last `add`. */
  seal(): void {
    if (this.#count === 0) return;
    const keys = this.#keys.subarray(0, this.#count).sort();
    const bytes = Buffer.allocUnsafe(this.#count * ENTRY_BYTES);
    const firsts = new Uint32Array(Math.ceil(this.#count / BLOCK));
    for (const [at, key] of keys.entries()) {
      const hash = Math.floor(key / RUN);
      if (at % BLOCK === 0) firsts[at / BLOCK] = hash;
      bytes.writeDoubleLE(hash, at * ENTRY_BYTES);
      bytes.writeDoubleLE(this.#offsets[key % RUN] as number, at * ENTRY_BYTES + 8);
    }
    this.#runs.push({ start: this.#file.append(bytes), length: this.#count, firsts });
    this.#count = 0;
  }

  /** Offsets of this name, in ascending order. Rarely one of another name is among them. */
  find(name: string): number[] {
    const hash = hashOf(name);
    return this.#runs.flatMap((run) => this.#findIn(run, hash));
  }

  close(): void {
    this.#file.close();
  }

  #findIn({ start, length, firsts }: IndexRun, hash: number): number[] {
    // The last block that begins with a smaller hash: entries of this hash may begin at its end.
    const block = Math.max(0, firstAtLeast(firsts.length, (at) => firsts[at] as number, hash) - 1);
    const found: number[] = [];
    for (let from = block * BLOCK; from < length; from += BLOCK) {
      const count = Math.min(BLOCK, length - from);
      const bytes = this.#file.read(start + from * ENTRY_BYTES, count * ENTRY_BYTES);
      const hashAt = (at: number) => bytes.readDoubleLE(at * ENTRY_BYTES);
      let at = firstAtLeast(count, hashAt, hash);
      for (; at < count && hashAt(at) === hash; at++) found.push(bytes.readDoubleLE(at * ENTRY_BYTES + 8));
      if (at < count) break;
    }
    return found;
  }
}

/** The index of the first of ascending values that is `wanted` or more. */
function firstAtLeast(count: number, valueAt: (at: number) => number, wanted: number): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (valueAt(middle) < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** FNV-1a with another mixing step. */
function hashOf(name: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < name.length; at++) hash = Math.imul(hash ^ name.charCodeAt(at), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x7feb352d);
  return (hash ^ (hash >>> 15)) >>> 0;
}
