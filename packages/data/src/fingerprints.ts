/** Finds what is equal among millions: of each thing the first 16 bytes of its SHA-256 are kept, in typed arrays. */
import { hash } from "node:crypto";

/** Things by what they are, numbered from 0. */
export interface Fingerprints {
  readonly count: number;
  /** Adds the next thing. Returns the number of the first one that is equal: its own if there is none. */
  add(content: Uint8Array | string): number;
  /** Returns the number of the first thing that is equal, -1 if there is none. */
  find(content: Uint8Array | string): number;
}

/** Words of 32 bits that are kept of a hash. */
const WORDS = 4;

/** @param expected how many things there will be; more may come, which takes time. */
export function createFingerprints(expected = 0): Fingerprints {
  let words = new Uint32Array(WORDS * Math.max(1024, expected));
  /** Open addressing: the number of a thing plus 1, 0 for nothing; at most two thirds are taken. */
  let slots = new Int32Array(slotsFor(expected));
  let count = 0;

  /** Returns the slot of the first thing that is equal to the words from `at` on, or the one where it would be. */
  const slotOf = (own: Uint32Array, at: number): number => {
    const mask = slots.length - 1;
    for (let slot = own[at]! & mask; ; slot = (slot + 1) & mask) {
      const there = WORDS * (slots[slot]! - 1);
      if (there < 0) return slot;
      let same = 0;
      while (same < WORDS && words[there + same] === own[at + same]) same++;
      if (same === WORDS) return slot;
    }
  };
  const makeRoom = (): void => {
    if (WORDS * (count + 1) > words.length) {
      const larger = new Uint32Array(2 * words.length);
      larger.set(words);
      words = larger;
    }
    if (3 * (count + 1) <= 2 * slots.length) return;
    const taken = slots;
    slots = new Int32Array(2 * taken.length);
    for (const thing of taken) if (thing > 0) slots[slotOf(words, WORDS * (thing - 1))] = thing;
  };
  return {
    get count() {
      return count;
    },
    add(content) {
      makeRoom();
      const at = WORDS * count;
      const bytes = hash("sha256", content, "buffer");
      for (let i = 0; i < WORDS; i++) words[at + i] = bytes.readUInt32LE(4 * i);
      const slot = slotOf(words, at);
      count++;
      if (slots[slot] === 0) slots[slot] = count;
      return slots[slot]! - 1;
    },
    find(content) {
      const bytes = hash("sha256", content, "buffer");
      const own = Uint32Array.from({ length: WORDS }, (_, i) => bytes.readUInt32LE(4 * i));
      return slots[slotOf(own, 0)]! - 1;
    },
  };
}

/** A power of two. */
function slotsFor(things: number): number {
  let slots = 1024;
  while (2 * slots < 3 * (things + 1)) slots *= 2;
  return slots;
}
