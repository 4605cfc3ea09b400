/** Gemma 1 to 3 in GGUF files. */
import type { GgufArchitecture } from "./architecture.ts";
import type { GgufKeys } from "./keys.ts";
import { ropeFields } from "./rope.ts";
import { headSizes, layer, outputNorms, rmsEps, wholeHeads } from "./shared_fields.ts";

const gemmaLayer = { ...layer, ...outputNorms, ffn_norm: "pre_feedforward_layernorm" };

export const gemma: GgufArchitecture = {
  layer,
  normsHoldOne: true,
  config: (keys, contents) => ({
    model_type: "gemma",
    ...rmsEps(keys),
    ...wholeHeads(keys),
    ...ropeFields(keys, contents),
  }),
};

/** Scores are divided by the root of it; of the largest model it is D / H, and llama.cpp tells that one by its layers. */
function scoreDivisor(keys: GgufKeys, largest: number): number {
  const share = keys.count("embedding_length", Number.NaN) / keys.count("attention.head_count", Number.NaN);
  return keys.count("block_count", Number.NaN) === largest ? share : headSizes(keys).width;
}

export const gemma2: GgufArchitecture = {
  layer: gemmaLayer,
  normsHoldOne: true,
  config: (keys, contents) => ({
    model_type: "gemma2",
    ...rmsEps(keys),
    ...wholeHeads(keys),
    ...ropeFields(keys, contents),
    sliding_window: keys.count("attention.sliding_window", 4096),
    query_pre_attn_scalar: scoreDivisor(keys, 46),
    attn_logit_softcapping: keys.number("attn_logit_softcapping", 50),
    final_logit_softcapping: keys.number("final_logit_softcapping", 30),
  }),
};

export const gemma3: GgufArchitecture = {
  layer: gemmaLayer,
  normsHoldOne: true,
  config(keys, contents) {
    const { rope_theta, rope_scaling } = ropeFields(keys, contents, 1_000_000);
    const window = keys.raw("attention.sliding_window");
    const cap = keys.raw("final_logit_softcapping");
    const layers = keys.count("block_count", Number.NaN) || 0;
    return {
      model_type: "gemma3_text",
      ...rmsEps(keys),
      ...wholeHeads(keys),
      rope_theta,
      rope_scaling: rope_scaling ?? null,
      rope_local_base_freq: keys.number("rope.freq_base_swa", 10_000),
      query_pre_attn_scalar: scoreDivisor(keys, 62),
      ...(window === undefined
        ? { layer_types: Array.from({ length: Math.min(layers, 10_000) }, () => "full_attention") }
        : { sliding_window: window }),
      ...(cap !== undefined && { final_logit_softcapping: cap }),
    };
  },
};
