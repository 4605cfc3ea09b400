/**
 * Python's `random.Random`: the Mersenne Twister (Matsumoto & Nishimura 1998, mt19937ar) and `sample`, which draws the examples
 * of lm-evaluation-harness's prompts. The same seed draws the same examples.
 */
const N = 624;
const M = 397;

/** Draws as `random.Random(seed)` does. */
export interface PythonRandom {
  /** Returns `k` different numbers below `n`: the places that `sample` takes from a list of length n. */
  sample(n: number, k: number): number[];
  /** Returns a number below `n`: `randrange`. */
  below(n: number): number;
}

/** @param seed a whole number of at most 32 bits */
export function pythonRandom(seed: number): PythonRandom {
  const next = twister(seed);
  /** `getrandbits` until the number is below n. */
  const below = (n: number): number => {
    const bits = 32 - Math.clz32(n);
    let drawn = next() >>> (32 - bits);
    while (drawn >= n) drawn = next() >>> (32 - bits);
    return drawn;
  };
  return {
    below,
    sample(n, k) {
      if (k > n) throw new RangeError(`Cannot draw ${k} of ${n}: at most ${n} are there`);
      const drawn: number[] = [];
      // Below this size a list of what is left is smaller than a set of what was drawn.
      const listSize = 21 + (k > 5 ? 4 ** Math.ceil(Math.log(k * 3) / Math.log(4)) : 0);
      if (n <= listSize) {
        const left = Array.from({ length: n }, (_, i) => i);
        for (let i = 0; i < k; i++) {
          const at = below(n - i);
          drawn.push(left[at]!);
          left[at] = left[n - i - 1]!;
        }
        return drawn;
      }
      const taken = new Set<number>();
      while (drawn.length < k) {
        let at = below(n);
        while (taken.has(at)) at = below(n);
        taken.add(at);
        drawn.push(at);
      }
      return drawn;
    },
  };
}

/** Returns the next 32 bits of the generator, seeded by `init_by_array([seed])`. */
function twister(seed: number): () => number {
  const state = new Uint32Array(N);
  state[0] = 19650218;
  for (let i = 1; i < N; i++) state[i] = Math.imul(1812433253, mixed(state[i - 1]!)) + i;
  let i = 1;
  const wrap = () => {
    if (++i < N) return;
    state[0] = state[N - 1]!;
    i = 1;
  };
  for (let k = 0; k < N; k++, wrap()) state[i] = (state[i]! ^ Math.imul(mixed(state[i - 1]!), 1664525)) + seed;
  for (let k = 1; k < N; k++, wrap()) state[i] = (state[i]! ^ Math.imul(mixed(state[i - 1]!), 1566083941)) - i;
  state[0] = 0x80000000;

  let at = N;
  return () => {
    if (at === N) {
      for (let k = 0; k < N; k++) {
        const y = (state[k]! & 0x80000000) | (state[(k + 1) % N]! & 0x7fffffff);
        state[k] = state[(k + M) % N]! ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
      }
      at = 0;
    }
    let y = state[at++]!;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  };
}

const mixed = (word: number): number => word ^ (word >>> 30);
