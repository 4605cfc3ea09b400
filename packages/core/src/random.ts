/**
 * Counter-based random numbers: a value is a pure function of its key, so nothing has to be stored to resume, and no
 * worker's stream depends on another's. The mixer is murmur3's 32-bit finaliser applied to each word of the key in turn.
 */

function mix(h: number): number {
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** 32 random bits for a key of safe integers; keys that differ in any word give unrelated bits. */
export function randomBits(...key: readonly number[]): number {
  let h = 0x9e3779b9;
  for (const word of key) {
    h = mix(h ^ (word | 0)) + 0x9e3779b9;
    h = mix(h ^ Math.floor(word / 2 ** 32)) + 0x7f4a7c15;
  }
  return mix(h) >>> 0;
}

/** Uniform in [0, 1) with 53 random bits. */
export function uniform(...key: readonly number[]): number {
  return (randomBits(...key, 1) * 2 ** 21 + (randomBits(...key, 2) >>> 11)) * 2 ** -53;
}

/** Standard normal (Box–Muller), rounded to float32. */
export function normal(...key: readonly number[]): number {
  const radius = Math.sqrt(-2 * Math.log(1 - uniform(...key, 3)));
  return Math.fround(radius * Math.cos(2 * Math.PI * uniform(...key, 4)));
}
