/** Folders of models as transformers writes them. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { serializeSafetensors, type Tensor } from "../src/formats/safetensors.ts";
import type { ModelConfig } from "../src/model/config.ts";
import { weightSources } from "../src/model/hf_names.ts";
import type { WeightImage } from "../src/model/weights.ts";

/** Writes `config.json` and `model.safetensors` as transformers would. */
export function writeTinyModel(folder: string, config: ModelConfig, image: WeightImage): void {
  const tensors = new Map<string, Tensor>();
  for (const { name, parts } of weightSources(config)) {
    let offset = image.places[name].offset;
    for (const { hfName, shape, change, times = 1, rowTo } of parts) {
      const length = shape.reduce((a, b) => a * b, 1);
      const placed = new Float32Array(image.bytes, offset, length);
      const width = length / shape[0];
      const values = rowTo
        ? placed.map((_, i) => placed[rowTo(Math.floor(i / width)) * width + (i % width)])
        : placed.slice();
      if (times !== 1) for (const [i, value] of values.entries()) values[i] = value / times;
      if (change === "add-one") for (const [i, value] of values.entries()) values[i] = value - 1;
      const [rows, columns] = shape;
      const stored =
        change === "transpose" ? values.map((_, i) => values[(i % columns) * rows + Math.floor(i / columns)]) : values;
      tensors.set(hfName, { dtype: "F32", shape, bytes: new Uint8Array(stored.buffer) });
      offset += 4 * length;
    }
  }
  writeFileSync(join(folder, "config.json"), JSON.stringify(hfConfig(config)));
  writeFileSync(join(folder, "model.safetensors"), serializeSafetensors(tensors, { format: "pt" }));
}

function hfConfig(config: ModelConfig): Record<string, unknown> {
  const common = {
    model_type: config.modelType,
    dtype: "float32",
    vocab_size: config.vocabSize,
    tie_word_embeddings: config.tiedEmbeddings,
    bos_token_id: config.bosTokenId,
    eos_token_id: config.eosTokenIds,
  };
  if (config.modelType === "gpt2") {
    return {
      ...common,
      n_embd: config.hiddenSize,
      n_inner: config.intermediateSize,
      n_layer: config.layers,
      n_head: config.heads,
      n_positions: config.contextLength,
      layer_norm_epsilon: config.normEps,
      activation_function: "gelu_new",
    };
  }
  if (config.modelType === "gpt_neox") {
    return {
      ...common,
      hidden_size: config.hiddenSize,
      intermediate_size: config.intermediateSize,
      num_hidden_layers: config.layers,
      num_attention_heads: config.heads,
      max_position_embeddings: config.contextLength,
      layer_norm_eps: config.normEps,
      rotary_pct: (config.rotaryDim ?? config.headDim) / config.headDim,
      rotary_emb_base: config.ropeTheta,
      use_parallel_residual: config.parallelResidual,
      attention_bias: config.qkvBias,
    };
  }
  const { slidingWindow, slidingLayers, rotaryDim, ropeScaling, unrotatedLayers } = config;
  const isNormedGemma = ["gemma2", "gemma3_text"].includes(config.modelType);
  return {
    ...common,
    ...(ropeScaling.type === "longrope" && {
      original_max_position_embeddings: ropeScaling.originalContext,
      rope_scaling: {
        type: "longrope",
        short_factor: ropeScaling.shortFactors,
        long_factor: ropeScaling.longFactors,
        attention_factor: ropeScaling.attentionFactor,
      },
    }),
    ...(config.slidingRope && {
      rope_parameters: {
        full_attention: hfRope(config),
        sliding_attention: hfRope(config.slidingRope),
      },
      rope_theta: undefined,
    }),
    ...(config.queryGrowth && {
      rope_parameters: {
        ...hfRope(config),
        llama_4_scaling_beta: config.queryGrowth.beta,
        original_max_position_embeddings: config.queryGrowth.originalContext,
      },
    }),
    ...(config.modelType === "granite" && {
      embedding_multiplier: config.embedScale,
      attention_multiplier: config.scoreScale,
      residual_multiplier: config.residualScale,
      logits_scaling: 1 / (config.logitScale ?? 1),
    }),
    ...(isNormedGemma && {
      query_pre_attn_scalar: Math.round((config.scoreScale ?? 1) ** -2),
      attn_logit_softcapping: config.scoreCap ?? null,
      final_logit_softcapping: config.logitCap ?? null,
    }),
    ...hfExperts(config),
    ...hfDeltaNet(config),
    ...(rotaryDim && { partial_rotary_factor: rotaryDim / config.headDim }),
    ...(unrotatedLayers && {
      no_rope_layers: Array.from({ length: config.layers }, (_, i) => (unrotatedLayers.includes(i) ? 0 : 1)),
    }),
    ...(config.modelType === "stablelm" && {
      layer_norm_eps: config.normEps,
      use_qkv_bias: config.qkvBias,
      use_parallel_residual: config.parallelResidual,
    }),
    hidden_size: config.hiddenSize,
    intermediate_size: config.intermediateSize,
    num_hidden_layers: config.layers,
    num_attention_heads: config.heads,
    num_key_value_heads: config.kvHeads,
    head_dim: config.headDim,
    [isNormedGemma ? "hidden_activation" : "hidden_act"]: config.modelType.startsWith("gemma")
      ? "gelu_pytorch_tanh"
      : "silu",
    max_position_embeddings: config.contextLength,
    rms_norm_eps: config.normEps,
    rope_theta: config.ropeTheta,
    sliding_window: slidingWindow === 0 ? null : slidingWindow,
    use_sliding_window: slidingWindow > 0,
    ...(slidingLayers && {
      layer_types: Array.from({ length: config.layers }, (_, i) =>
        slidingLayers.includes(i) ? "sliding_attention" : "full_attention",
      ),
    }),
    attention_bias: config.outputBias,
    mlp_bias: config.mlpBias,
  };
}

function hfExperts({ modelType, experts }: ModelConfig) {
  if (!experts) return {};
  const { count, perToken, intermediateSize, isNormalized, denseLayers } = experts;
  if (modelType === "mixtral") return { num_local_experts: count, num_experts_per_tok: perToken };
  return {
    num_experts: count,
    num_experts_per_tok: perToken,
    moe_intermediate_size: intermediateSize,
    norm_topk_prob: isNormalized,
    mlp_only_layers: denseLayers,
  };
}

function hfDeltaNet({ deltaNet, layers }: ModelConfig) {
  if (!deltaNet) return {};
  return {
    linear_num_key_heads: deltaNet.keyHeads,
    linear_num_value_heads: deltaNet.valueHeads,
    linear_key_head_dim: deltaNet.keyDim,
    linear_value_head_dim: deltaNet.valueDim,
    linear_conv_kernel_dim: deltaNet.taps,
    layer_types: Array.from({ length: layers }, (_, i) =>
      deltaNet.layers.includes(i) ? "linear_attention" : "full_attention",
    ),
  };
}

function hfRope({ ropeTheta, ropeScaling }: Pick<ModelConfig, "ropeTheta" | "ropeScaling">) {
  const factor = ropeScaling.type === "linear" ? { factor: ropeScaling.factor } : {};
  return { rope_theta: ropeTheta, rope_type: ropeScaling.type, ...factor };
}
