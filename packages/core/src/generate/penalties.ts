/** Changes of logits by the tokens that a text has so far, and by the caller's wish. */

/** How logits are changed before a token is chosen, in this order. */
export interface Penalties {
  /** Added to the logits of these tokens: 100 makes one certain, -100 impossible. @default none */
  readonly logitBias?: Readonly<Record<number, number>>;
  /** Tokens of prompt and answer: positive logits are divided by it, negative ones multiplied (arXiv:1909.05858 §4.1). @default 1 */
  readonly repetitionPenalty?: number;
  /** Subtracted from the logits of tokens that the answer has. @default 0 */
  readonly presencePenalty?: number;
  /** Subtracted from the logits of tokens that the answer has, as often as it has them. @default 0 */
  readonly frequencyPenalty?: number;
}

/** The tokens before the one that is chosen. */
export interface TokensBefore {
  readonly ids: readonly number[];
  /** How many of them are the prompt's. */
  readonly promptLength: number;
}

/** Returns changed logits, or those that came if nothing changes. In float32, as transformers does. */
export function penalised(
  z_V: Float32Array,
  { logitBias, repetitionPenalty = 1, presencePenalty = 0, frequencyPenalty = 0 }: Penalties,
  { ids, promptLength }: TokensBefore,
): Float32Array {
  const biases = Object.entries(logitBias ?? {});
  const counts = presencePenalty !== 0 || frequencyPenalty !== 0;
  if (biases.length === 0 && repetitionPenalty === 1 && !counts) return z_V;
  const changed_V = z_V.slice();
  for (const [id, bias] of biases) changed_V[Number(id)] += bias;
  if (repetitionPenalty !== 1) {
    for (const id of new Set(ids)) {
      changed_V[id] = changed_V[id] < 0 ? changed_V[id] * repetitionPenalty : changed_V[id] / repetitionPenalty;
    }
  }
  if (counts) {
    const times = new Map<number, number>();
    for (const id of ids.slice(promptLength)) times.set(id, (times.get(id) ?? 0) + 1);
    for (const [id, count] of times) changed_V[id] -= frequencyPenalty * count + presencePenalty;
  }
  return changed_V;
}
