/**
 * Finds places by name where there are too many of them for memory: sorted runs in a temporary file, of which memory holds only every
 * 256th entry. Different names may share an entry: the caller compares what stands at the place.
 */
import { SpillFile } from "./spill-file.ts";

/** Entries of a run: with a hash of 32 bits in front, a number of an entry fits into what a float holds exactly. */
const RUN = 2 ** 20;
const BLOCK = 256;
const ENTRY_BYTES = 16;

type Run = { start: number; length: number /** Each block's first hash. */; firsts: Uint32Array };

export class SpillIndex {
  readonly #file: SpillFile;
  readonly #runs: Run[] = [];
  readonly #keys = new Float64Array(RUN);
  readonly #places = new Float64Array(RUN);
  #count = 0;

  constructor(folder?: string) {
    this.#file = new SpillFile(folder);
  }

  add(name: string, place: number): void {
    this.#keys[this.#count] = hashOf(name) * RUN + this.#count;
    this.#places[this.#count] = place;
    if (++this.#count === RUN) this.seal();
  }

  /** To be called behind the last `add`. */
  seal(): void {
    if (this.#count === 0) return;
    const keys = this.#keys.subarray(0, this.#count).sort();
    const bytes = Buffer.allocUnsafe(this.#count * ENTRY_BYTES);
    const firsts = new Uint32Array(Math.ceil(this.#count / BLOCK));
    for (const [at, key] of keys.entries()) {
      const hash = Math.floor(key / RUN);
      if (at % BLOCK === 0) firsts[at / BLOCK] = hash;
      bytes.writeDoubleLE(hash, at * ENTRY_BYTES);
      bytes.writeDoubleLE(this.#places[key % RUN] as number, at * ENTRY_BYTES + 8);
    }
    this.#runs.push({ start: this.#file.append(bytes), length: this.#count, firsts });
    this.#count = 0;
  }

  /** Places that may be of this name, in ascending order: all that are, and now and then one that is not. */
  find(name: string): number[] {
    const hash = hashOf(name);
    return this.#runs.flatMap((run) => this.#findIn(run, hash));
  }

  close(): void {
    this.#file.close();
  }

  #findIn({ start, length, firsts }: Run, hash: number): number[] {
    // The last block that begins before the hash: entries of one hash may begin at its end.
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

/** Of ascending values the place of the first that is `wanted` or more. */
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

/** FNV-1a, and its bits mixed once more. */
function hashOf(name: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < name.length; at++) hash = Math.imul(hash ^ name.charCodeAt(at), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x7feb352d);
  return (hash ^ (hash >>> 15)) >>> 0;
}
