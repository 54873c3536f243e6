/**
 * Numbers by uuid, for `check`, whose time is mostly that of finding two or three uuids among a million.
 *
 * A uuid of the usual form is five words of five base-36 characters; each is a 26-bit integer, so the key is exact and lies
 * beside its value in one open-addressed table (24 bytes a slot, at most two thirds full): a look-up touches one cache line
 * where a Map of strings touches four. Anything else a row may hold goes to a Map.
 *
 * The hash has no secret, so a user who could choose uuids could make chains long; in Arvados only admins can.
 */

/** Words of the key, then the value + 1 (0 = the slot is free). */
const SLOT = 6;
const VALUE = 5;
const WORDS = 5;

/** The value of each base-36 digit by its character code; -1 = no digit. */
const DIGIT = Int8Array.from({ length: 128 }, (_, code) =>
  code >= 48 && code <= 57 ? code - 48 : code >= 97 && code <= 122 ? code - 87 : -1,
);
const DASH = 45;

/** The key of the uuid last encoded: the words of `aaaaa-bbbbb-cccccdddddeeeee`. */
const key = new Int32Array(WORDS);

/** Puts a uuid's words into `key`. False: it is not of the usual form. */
function encode(uuid: string): boolean {
  if (uuid.length !== 27 || uuid.charCodeAt(5) !== DASH || uuid.charCodeAt(11) !== DASH) return false;
  key[0] = word(uuid, 0);
  key[1] = word(uuid, 6);
  key[2] = word(uuid, 12);
  key[3] = word(uuid, 17);
  key[4] = word(uuid, 22);
  // A word with an odd character is negative.
  return ((key[0] as number) | (key[1] as number) | (key[2] as number) | (key[3] as number) | (key[4] as number)) >= 0;
}

/** Five base-36 characters as a number, or a negative one. */
function word(uuid: string, from: number): number {
  const a = digit(uuid.charCodeAt(from));
  const b = digit(uuid.charCodeAt(from + 1));
  const c = digit(uuid.charCodeAt(from + 2));
  const d = digit(uuid.charCodeAt(from + 3));
  const e = digit(uuid.charCodeAt(from + 4));
  return (a | b | c | d | e) < 0 ? -1 : (((a * 36 + b) * 36 + c) * 36 + d) * 36 + e;
}

function digit(code: number): number {
  return code < 128 ? (DIGIT[code] as number) : -1;
}

export class UuidIndex {
  #slots = new Int32Array(1024 * SLOT);
  #mask = 1023;
  #used = 0;
  readonly #others = new Map<string, number>();

  get size(): number {
    return this.#used + this.#others.size;
  }

  /** The value of a uuid, or -1. */
  get(uuid: string): number {
    if (!encode(uuid)) return this.#others.get(uuid) ?? -1;
    return (this.#slots[this.#find() + VALUE] as number) - 1;
  }

  /** Gives a uuid that has none a value, 0 or more. */
  add(uuid: string, value: number): void {
    if (!encode(uuid)) {
      this.#others.set(uuid, value);
      return;
    }
    const at = this.#find();
    this.#slots.set(key, at);
    this.#slots[at + VALUE] = value + 1;
    if (++this.#used * 3 > (this.#mask + 1) * 2) this.#grow();
  }

  delete(uuid: string): void {
    if (!encode(uuid)) {
      this.#others.delete(uuid);
      return;
    }
    const at = this.#find();
    if (this.#slots[at + VALUE] === 0) return;
    this.#used--;
    this.#close(at);
  }

  /** Offset of the slot that holds `key`, or of the free one where it belongs. */
  #find(): number {
    const slots = this.#slots;
    const mask = this.#mask;
    for (let slot = hashAt(key, 0) & mask; ; slot = (slot + 1) & mask) {
      const at = slot * SLOT;
      if (slots[at + VALUE] === 0) return at;
      if (
        slots[at + 4] === key[4] &&
        slots[at + 3] === key[3] &&
        slots[at + 2] === key[2] &&
        slots[at + 1] === key[1] &&
        slots[at] === key[0]
      ) {
        return at;
      }
    }
  }

  /** Frees a slot, and moves up those behind it that would otherwise not be found any more. */
  #close(free: number): void {
    const slots = this.#slots;
    let hole = free / SLOT;
    for (let slot = (hole + 1) & this.#mask; slots[slot * SLOT + VALUE] !== 0; slot = (slot + 1) & this.#mask) {
      const home = hashAt(slots, slot * SLOT) & this.#mask;
      // It may move to the hole if its home does not lie after the hole, going round.
      if (((slot - home) & this.#mask) < ((slot - hole) & this.#mask)) continue;
      slots.copyWithin(hole * SLOT, slot * SLOT, (slot + 1) * SLOT);
      hole = slot;
    }
    slots.fill(0, hole * SLOT, (hole + 1) * SLOT);
  }

  #grow(): void {
    const before = this.#slots;
    this.#mask = this.#mask * 2 + 1;
    this.#slots = new Int32Array((this.#mask + 1) * SLOT);
    for (let at = 0; at < before.length; at += SLOT) {
      if (before[at + VALUE] === 0) continue;
      key.set(before.subarray(at, at + WORDS));
      this.#slots.set(before.subarray(at, at + SLOT), this.#find());
    }
  }
}

/** The hash of the key that lies at an offset. */
function hashAt(words: Int32Array, at: number): number {
  let h = Math.imul(words[at] as number, 0x165667b1) ^ Math.imul(words[at + 1] as number, 0x27d4eb2f);
  h ^= Math.imul(words[at + 2] as number, 0xc2b2ae35) ^ Math.imul(words[at + 3] as number, 0x85ebca6b);
  h = Math.imul(h ^ Math.imul(words[at + 4] as number, 0x9e3779b1), 0x2c1b3c6d);
  return (h ^ (h >>> 15)) >>> 0;
}
