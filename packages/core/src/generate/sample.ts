/**
 * Choosing the next token from its logits, by transformers' processors in transformers' order: bias, repetition penalty, here the
 * other penalties, temperature, top-k, top-p, min-p.
 */
import { uniform } from "../random.ts";
import { type Penalties, penalised, type TokensBefore } from "./penalties.ts";
import { type RankedTokens, rankTokens } from "./ranked_tokens.ts";

/** How the next token is chosen from its logits. */
export interface SamplingOptions extends Penalties {
  /** 0 takes the most likely token; otherwise logits are divided by it. @default 0 */
  readonly temperature?: number;
  /** Keeps only the k most likely tokens, and those that are as likely as the last of them; 0 keeps all. @default 0 */
  readonly topK?: number;
  /** Keeps the smallest set of most likely tokens whose probability reaches this; 1 keeps all. @default 1 */
  readonly topP?: number;
  /** Keeps tokens that are at least this share as likely as the most likely one; 0 keeps all. @default 0 */
  readonly minP?: number;
  /** The choice at position i depends on (seed, i) only. @default 0 */
  readonly seed?: number;
}

/**
 * Returns a token id for the given logits `[V]`. Equal logits: the lowest id wins, so greedy decoding is reproducible.
 *
 * @param position is that of the token: with the seed it decides the random number.
 * @param before is what penalties look at. @default no tokens
 * @throws RangeError if a logit is NaN or ∞, or all are −∞.
 * @example
 * sampleToken(Float32Array.of(0.1, 2, -1), 0); // 1: without a temperature the largest
 */
export function sampleToken(
  logits: Float32Array,
  position: number,
  options: SamplingOptions = {},
  before: TokensBefore = { ids: [], promptLength: 0 },
): number {
  const z_V = penalised(logits, options, before);
  const best = argmax(z_V);
  if ((options.temperature ?? 0) === 0) return best;
  return candidates(z_V, best, options).at(uniform(options.seed ?? 0, position));
}

/** The tokens that sampling may choose, of changed logits whose largest is that of `best`. */
export function candidates(
  z_V: Float32Array,
  best: number,
  { temperature = 1, topK = 0, topP = 1, minP = 0 }: SamplingOptions,
): RankedTokens {
  const ranked = rankTokens(z_V, z_V[best], temperature);
  if (topK > 0) ranked.keepTop(topK);
  if (topP < 1) ranked.keepMass(topP);
  if (minP > 0) ranked.keepWeight(minP);
  return ranked;
}

function argmax(z_V: Float32Array): number {
  let [best, largest] = [-1, Number.NEGATIVE_INFINITY];
  for (let id = 0; id < z_V.length; id++) {
    const z = z_V[id];
    if (z > largest) [best, largest] = [id, z];
    else if (Number.isNaN(z)) throw new RangeError(`Cannot choose a token: the logit of token ${id} is NaN`);
  }
  if (Number.isFinite(largest)) return best;
  throw new RangeError(`Cannot choose a token: the largest logit is ${largest}`);
}
