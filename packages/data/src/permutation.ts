/** Seeded orders for the data plan and the split: the same on every machine, a pure function of (n, seed, stream). */
import { randomBits } from "@zerogate/core/training";

/** A uniform permutation of 0 … n − 1: Fisher–Yates (Knuth 3.4.2 P). `seed` and `stream` are safe integers; an epoch is a stream. */
export function permutation(n: number, seed: number, stream: number): Int32Array {
  if (!Number.isSafeInteger(seed)) throw new RangeError(`Cannot shuffle with seed ${seed}: a safe integer is needed`);
  const order = Int32Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = below(i + 1, seed, stream, i);
    const swapped = order[i]!;
    order[i] = order[j]!;
    order[j] = swapped;
  }
  return order;
}

/** Uniform in 0 … bound − 1, without modulo bias: draws above the last whole multiple of `bound` are thrown away. */
function below(bound: number, ...key: readonly number[]): number {
  const limit = 2 ** 32 - (2 ** 32 % bound);
  let draw = 0;
  let bits = randomBits(...key, draw);
  while (bits >= limit) bits = randomBits(...key, ++draw);
  return bits % bound;
}
