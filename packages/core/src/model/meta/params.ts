/** Meta's `params.json` as transformers' config.json would say it. */
import { InputError } from "../../errors.ts";
import { isJsonObject } from "../../formats/json_fields.ts";

/** What the weights beside it say. */
export interface MetaSizes {
  /** Rows of `tok_embeddings.weight`, which params.json of Llama 1 and 2 gives as -1. */
  readonly vocabSize: number;
  /** Rows of `feed_forward.w1.weight` of all shards, which `multiple_of` and `ffn_dim_multiplier` are for. */
  readonly intermediateSize: number;
}

/** Keys that are read, or say what the weights say too, or nothing about numbers. */
const known = new Set([
  ..."dim n_layers n_heads n_kv_heads vocab_size multiple_of ffn_dim_multiplier norm_eps rope_theta".split(" "),
  ..."use_scaled_rope rope_scaling_factor max_batch_size max_seq_len".split(" "),
]);

/** Ids of what begins and ends texts, by vocabulary: Llama 3's ends are those of texts and of turns. */
const LLAMA3_VOCABULARY = 128_256;

/** How many heads queries and keys have. @throws InputError if params.json does not say it. */
export function metaHeads(params: unknown, path: string): { readonly queries: number; readonly keys: number } {
  const { n_heads: queries, n_kv_heads: keys = queries } = objectOf(params, path);
  const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) > 0;
  if (isCount(queries) && isCount(keys)) return { queries, keys };
  const found = `n_heads is ${JSON.stringify(queries) ?? "missing"}, n_kv_heads ${JSON.stringify(keys) ?? "missing"}`;
  throw new InputError(`Cannot use ${path}`, `${found}: needed are numbers of heads`);
}

function objectOf(params: unknown, path: string): Readonly<Record<string, unknown>> {
  if (isJsonObject(params)) return params;
  throw new InputError(`Cannot use ${path}`, "it is not an object, Meta's has dim, n_layers and n_heads");
}

/** @throws InputError that lists all keys that are missing, wrong or not read. */
export function metaConfig(content: unknown, sizes: MetaSizes, path: string): Readonly<Record<string, unknown>> {
  const params = objectOf(content, path);
  const problems: string[] = [];
  const number = (key: string, fallback?: number): number => {
    const value = params[key] ?? fallback;
    if (typeof value === "number" && Number.isFinite(value) && value > 0) return value;
    problems.push(`${key} is ${JSON.stringify(value) ?? "missing"}, needed is a number above 0`);
    return Number.NaN;
  };
  for (const key of Object.keys(params)) {
    if (!known.has(key))
      problems.push(`${JSON.stringify(key).slice(0, 100)} is not read, and may change what it computes`);
  }
  const [dim, layers] = [number("dim"), number("n_layers")];
  const { queries, keys } = metaHeads(params, path);
  const theta = number("rope_theta", 10_000);
  const eps = number("norm_eps", 1e-5);
  const scaling = params["use_scaled_rope"] === true ? scaledRope(params, { dim, layers }, problems) : undefined;
  const vocabSize = params["vocab_size"] ?? -1;
  if (vocabSize !== -1 && vocabSize !== sizes.vocabSize) {
    problems.push(`vocab_size is ${JSON.stringify(vocabSize)}, tok_embeddings.weight has ${sizes.vocabSize} rows`);
  }
  if (problems.length > 0) throw new InputError(`Cannot use ${path}`, problems);
  const isLlama3 = sizes.vocabSize === LLAMA3_VOCABULARY;
  return {
    model_type: "llama",
    vocab_size: sizes.vocabSize,
    hidden_size: dim,
    intermediate_size: sizes.intermediateSize,
    num_hidden_layers: layers,
    num_attention_heads: queries,
    num_key_value_heads: keys,
    max_position_embeddings: number("max_seq_len", contextOf(theta, eps, scaling !== undefined)),
    rms_norm_eps: eps,
    rope_theta: theta,
    ...(scaling && { rope_scaling: scaling }),
    tie_word_embeddings: false,
    bos_token_id: isLlama3 ? 128_000 : 1,
    eos_token_id: isLlama3 ? [128_001, 128_009] : 2,
  };
}

/** Positions that were trained, which params.json does not say: those of Llama 1, 2, Code Llama, 3 and 3.1. */
function contextOf(theta: number, eps: number, isScaled: boolean): number {
  if (isScaled) return 131_072;
  if (theta > 10_000) return theta < 1_000_000 ? 8_192 : 16_384;
  return eps < 1e-5 ? 2_048 : 4_096;
}

/** params.json says only that the rotation is scaled: by 8 in Llama 3.1 and 3.3, by 32 in the two small ones of 3.2. */
function scaledRope(
  params: Readonly<Record<string, unknown>>,
  { dim, layers }: { readonly dim: number; readonly layers: number },
  problems: string[],
): object {
  const sizes: Readonly<Record<string, number>> = {
    "2048 16": 32,
    "3072 28": 32,
    "4096 32": 8,
    "8192 80": 8,
    "16384 126": 8,
  };
  const factor = params["rope_scaling_factor"] ?? sizes[`${dim} ${layers}`];
  if (typeof factor !== "number" || !(factor >= 1)) {
    problems.push(
      "use_scaled_rope is true and the size is none of Llama 3.1 to 3.3: by how much is to be said in rope_scaling_factor",
    );
  }
  return {
    rope_type: "llama3",
    factor,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 8_192,
  };
}
