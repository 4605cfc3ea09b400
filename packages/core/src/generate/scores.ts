/** Log-probabilities of tokens, in nats: of the logits as the model gives them, before penalties, bias and temperature. */

/** A token and its log-probability. */
export interface TokenScore {
  readonly id: number;
  readonly logProbability: number;
}

/** The log-probability of a token, and the most likely tokens in its place, the most likely first. */
export interface TokenScores extends TokenScore {
  readonly top: readonly TokenScore[];
}

/** Scores a token, and the `count` most likely ones in its place; lower ids first among equals. */
export function scoreToken(logits: Float32Array, id: number, count: number): TokenScores {
  const first = mostLikely(logits, count);
  let largest = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < logits.length; i++) if (logits[i] > largest) largest = logits[i];
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += Math.exp(logits[i] - largest);
  const log = Math.log(sum);
  const scoreOf = (token: number): TokenScore => ({ id: token, logProbability: logits[token] - largest - log });
  return { ...scoreOf(id), top: first.map(scoreOf) };
}

/** The tokens of the `count` largest logits, in their order. */
function mostLikely(logits: Float32Array, count: number): number[] {
  const first: number[] = [];
  if (count === 0) return first;
  for (let id = 0; id < logits.length; id++) {
    if (first.length === count && logits[id] <= logits[first[count - 1]]) continue;
    let at = first.length;
    while (at > 0 && logits[first[at - 1]] < logits[id]) at--;
    first.splice(at, 0, id);
    if (first.length > count) first.pop();
  }
  return first;
}
