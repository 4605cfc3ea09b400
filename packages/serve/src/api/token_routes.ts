/** `/tokenize`, `/detokenize` and `/tokenizer_info`: with them clients need no tokenizer of their own. */
import { isChatTemplate } from "@zerogate/core";
import { badRequest } from "../http/api_error.ts";
import { bodyOf, type Call, type Reply } from "./call.ts";
import { type Served, targetOf } from "./served.ts";
import { detokenizeShape, tokenizeShape } from "./shapes.ts";

export function tokenize(served: Served, call: Call): Reply {
  const { base } = served;
  const { model = base.name, prompt, add_special_tokens } = bodyOf(call, tokenizeShape);
  targetOf(served, model);
  const tokens = base.tokenizer.encode(prompt, { addSpecialTokens: add_special_tokens });
  return { body: { tokens, count: tokens.length, max_model_len: base.config.contextLength } };
}

export function detokenize(served: Served, call: Call): Reply {
  const { base } = served;
  const { model = base.name, tokens } = bodyOf(call, detokenizeShape);
  targetOf(served, model);
  try {
    return { body: { prompt: base.tokenizer.decode(tokens, { keepSpecialTokens: true }) } };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw badRequest("Cannot decode the tokens: one of them is not in the vocabulary", "tokens");
  }
}

export function tokenizerInfo({ base: { tokenizer, config, format } }: Served): Reply {
  const { bosId, eosId } = tokenizer;
  const textOf = (id: number | undefined) =>
    id === undefined ? null : tokenizer.decode([id], { keepSpecialTokens: true });
  const { template } = format;
  return {
    body: {
      tokenizer_class: "zerogate",
      vocab_size: tokenizer.vocabularySize,
      model_max_length: config.contextLength,
      bos_token: textOf(bosId),
      bos_token_id: bosId ?? null,
      eos_token: textOf(eosId),
      eos_token_id: eosId,
      pad_token: isChatTemplate(template) ? (template.tokens["pad_token"] ?? textOf(eosId)) : textOf(eosId),
      chat_template: isChatTemplate(template) ? template.chat : null,
    },
  };
}
