/** A context and what is scored after it as tokens, by the rules of lm-evaluation-harness. */

import type { Tokenizer } from "../tokenizer.ts";
import { stripRight } from "./python_text.ts";

/** Tokens of a context and of what follows it. */
export interface EncodedPair {
  readonly ids: readonly number[];
  /** Tokens of `ids`, at the end, that are scored. */
  readonly scored: number;
}

/**
 * Encodes both as one text, and scores what is left once the tokens of the context are taken off. Spaces at the end of the context
 * go to what follows it, where tokenizers keep them.
 */
export function encodePair(tokenizer: Tokenizer, context: string, continuation: string): EncodedPair {
  const front = tokenizer.bosId ?? tokenizer.eosId;
  if (context === "") {
    const ids = tokenizer.encode(continuation, { addSpecialTokens: false });
    return ids[0] === front ? { ids, scored: ids.length - 1 } : { ids: [front, ...ids], scored: ids.length };
  }
  const head = stripRight(context);
  const encode = (text: string) => tokenizer.encode(text, { addSpecialTokens: !startsWithFront(tokenizer, text) });
  const ids = encode(context + continuation);
  return { ids, scored: ids.length - (head === "" ? 0 : encode(head).length) };
}

/** The harness adds no special tokens to a text that begins with the one that goes in front. */
function startsWithFront(tokenizer: Tokenizer, text: string): boolean {
  const front = tokenizer.decode([tokenizer.bosId ?? tokenizer.eosId], { keepSpecialTokens: true });
  return front !== "" && text.startsWith(front);
}
