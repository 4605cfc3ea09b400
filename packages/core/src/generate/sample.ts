/** Choosing the next token from its logits; filters in transformers' order: temperature, top-k, top-p. */
import { uniform } from "../random.ts";

/** How the next token is chosen from its logits. */
export interface SamplingOptions {
  /** 0 takes the most likely token; otherwise logits are divided by it. @default 0 */
  readonly temperature?: number;
  /** Keeps only the k most likely tokens; 0 keeps all. @default 0 */
  readonly topK?: number;
  /** Keeps the smallest set of most likely tokens whose probability reaches this; 1 keeps all. @default 1 */
  readonly topP?: number;
  /** The choice at position i depends on (seed, i) only. @default 0 */
  readonly seed?: number;
}

/**
 * Returns a token id for the given logits `[V]`. Equal logits: the lowest id wins, so greedy decoding is reproducible.
 *
 * @param position is that of the token: with the seed it decides the random number.
 * @example
 * sampleToken(Float32Array.of(0.1, 2, -1), 0); // 1: without a temperature the largest
 */
export function sampleToken(logits: Float32Array, position: number, options: SamplingOptions = {}): number {
  const { temperature = 0, topK = 0, topP = 1, seed = 0 } = options;
  if (temperature === 0) return argmax(logits);
  const order = Array.from(logits.keys()).toSorted((a, b) => logits[b] - logits[a] || a - b);
  const kept = topK > 0 ? order.slice(0, topK) : order;
  const top = logits[kept[0]];
  const weights = kept.map((id) => Math.exp((logits[id] - top) / temperature));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let nucleus = 0;
  let count = 0;
  while (count < weights.length && nucleus < topP * total) nucleus += weights[count++];
  let left = uniform(seed, position) * nucleus;
  for (let i = 0; i < count; i++) {
    left -= weights[i];
    if (left < 0) return kept[i];
  }
  return kept[Math.max(count - 1, 0)];
}

function argmax(logits: Float32Array): number {
  let best = 0;
  for (let id = 1; id < logits.length; id++) if (logits[id] > logits[best]) best = id;
  return best;
}
