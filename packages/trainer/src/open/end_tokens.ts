/** The ends of an answer. */
import { isChatTemplate, type ModelConfig, type Template } from "@zerogate/core";
import type { Tokenizer } from "@zerogate/data";

/**
 * Returns what ends an answer: the model's end tokens, those of generation_config.json before others, the tokenizer's, which
 * training appends, and that which ends a turn under a template of chats.
 */
export function endTokens(
  tokenizer: Tokenizer,
  { eosTokenIds }: Pick<ModelConfig, "eosTokenIds">,
  template: Template,
): number[] {
  const ofTurn = isChatTemplate(template) ? tokenizer.encode(template.end, { addSpecialTokens: false }) : [];
  return [...new Set([...eosTokenIds, tokenizer.eosId, ...ofTurn.slice(-1)])];
}
