/** The ends of an answer. */
import type { ModelConfig } from "@zerogate/core";
import type { Tokenizer } from "@zerogate/data";

/** Returns what ends an answer: the model's end tokens, those of generation_config.json before others, and the tokenizer's, which training appends. */
export function endTokens(tokenizer: Tokenizer, { eosTokenIds }: Pick<ModelConfig, "eosTokenIds">): number[] {
  return [...new Set([...eosTokenIds, tokenizer.eosId])];
}
