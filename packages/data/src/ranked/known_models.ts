/** What tiktoken's files do not say themselves: how texts are cut into words, and the special tokens. */

export interface RankedModel {
  readonly expression: string;
  /** Special tokens, the first of which has the id behind the last piece. */
  readonly special: readonly string[];
  readonly bosToken?: string;
  readonly eosToken: string;
}

const words = String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+`;
const rest = String.raw` ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`;

const numbered = (name: string, first: number, past: number): string[] =>
  Array.from({ length: past - first }, (_, i) => `<|${name}_${first + i}|>`);

/** Meta's `tokenizer.py` of Llama 3. */
const llama3: RankedModel = {
  expression: String.raw`${words}|\p{N}{1,3}|${rest}`,
  special: [
    "<|begin_of_text|>",
    "<|end_of_text|>",
    ...numbered("reserved_special_token", 0, 4),
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|reserved_special_token_4|>",
    "<|eot_id|>",
    ...numbered("reserved_special_token", 5, 251),
  ],
  bosToken: "<|begin_of_text|>",
  eosToken: "<|end_of_text|>",
};

/** The same of Llama 3.1 and later, whose rotation is scaled: some of the reserved ones have names. */
const llama31: RankedModel = {
  ...llama3,
  special: [
    "<|begin_of_text|>",
    "<|end_of_text|>",
    ...numbered("reserved_special_token", 0, 2),
    "<|finetune_right_pad_id|>",
    "<|reserved_special_token_2|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eom_id|>",
    "<|eot_id|>",
    "<|python_tag|>",
    ...numbered("reserved_special_token", 3, 248),
  ],
};

/** Alibaba's tokenization_qwen.py of Qwen 1. */
const qwen: RankedModel = {
  expression: String.raw`${words}|\p{N}|${rest}`,
  special: ["<|endoftext|>", "<|im_start|>", "<|im_end|>", ...numbered("extra", 0, 205)],
  eosToken: "<|endoftext|>",
};

/**
 * Known by the name of the file and its number of pieces, which no other model's file has.
 * @param hasScaledRotation whether the model's rotation is scaled as that of Llama 3.1
 * @throws Error if the file is none of a model that is known.
 */
export function knownModel(name: string, pieces: number, hasScaledRotation: boolean): RankedModel {
  if (name === "tokenizer.model" && pieces === 128_000) return hasScaledRotation ? llama31 : llama3;
  if (name === "qwen.tiktoken" && pieces === 151_643) return qwen;
  throw new Error(
    `it has ${pieces} pieces of tiktoken and does not say how texts are cut into words, which is known of Llama 3 (128000 pieces) and qwen.tiktoken (151643) alone: copy tokenizer.json from where the model came from`,
  );
}
