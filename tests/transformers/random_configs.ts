/** Random configurations of every family: sizes, heads, rotations, windows, biases and switches together. */
import { type Dice, dice } from "../support/dice.ts";
import type { Family, OddConfig } from "./odd_configs.ts";

const CONTEXT = 32;
const EACH = 20;

type Json = Readonly<Record<string, unknown>>;
/** What a family's config holds beside its sizes. */
type Draw = (roll: Dice, sizes: Json & { readonly num_hidden_layers: number; readonly head_dim: number }) => Json;

interface RandomFamily {
  /** Whose tensors the checkpoint has. */
  readonly shapes: Family;
  /** Heads are as wide as hidden_size / num_attention_heads. @default any width */
  readonly wholeHeads?: boolean;
  /** The hidden size is a multiple of 4, which torch needs for products of groups. @default any */
  readonly isAligned?: boolean;
  /** @default those that are rolled */
  readonly layers?: number;
  readonly draw: Draw;
}

const rope = (roll: Dice): Json => {
  const rope_theta = roll.pick([500, 1e4, 5e5]);
  const original_max_position_embeddings = roll.pick([8, 16]);
  return roll.pick<Json>([
    { rope_type: "default", rope_theta },
    { rope_type: "linear", rope_theta, factor: 2.5 },
    { rope_type: "dynamic", rope_theta, factor: 2 },
    {
      rope_type: "llama3",
      rope_theta,
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings,
    },
    { rope_type: "yarn", rope_theta, factor: 2, original_max_position_embeddings },
  ]);
};
/** In the older spelling or the newer one. */
const spelled = (roll: Dice, own: Json): Json => {
  const { rope_theta, ...scaling } = own;
  if (roll.chance(0.5)) return { rope_parameters: own };
  return own["rope_type"] === "default" ? { rope_theta } : { rope_theta, rope_scaling: scaling };
};
const windowed = (roll: Dice, layers: number) =>
  Array.from({ length: layers }, () => roll.pick(["full_attention", "sliding_attention"]));
const window = (roll: Dice) => roll.whole(2, 9);
/** As Qwen 2 and 3 have it. */
const qwenWindows: Draw = (roll, { num_hidden_layers: layers }) =>
  roll.chance(0.6)
    ? {
        use_sliding_window: true,
        sliding_window: window(roll),
        ...(roll.chance(0.5) ? { layer_types: windowed(roll, layers) } : { max_window_layers: roll.whole(0, layers) }),
      }
    : {};
const gemma: Draw = (roll, { num_hidden_layers: layers }) => ({
  sliding_window: window(roll),
  query_pre_attn_scalar: roll.pick([3, 6, 11]),
  attn_logit_softcapping: roll.pick([1.5, 30.5, null]),
  final_logit_softcapping: roll.pick([1.5, 30.5, null]),
  ...(roll.chance(0.5) && { layer_types: windowed(roll, layers) }),
});

const families: Readonly<Record<string, RandomFamily>> = {
  llama: {
    shapes: "llama",
    draw: (roll) => ({ attention_bias: roll.chance(0.3), mlp_bias: roll.chance(0.3), ...spelled(roll, rope(roll)) }),
  },
  mistral: {
    shapes: "mistral",
    draw: (roll) => ({ sliding_window: roll.chance(0.6) ? window(roll) : null, ...spelled(roll, rope(roll)) }),
  },
  ministral: {
    shapes: "mistral",
    draw: (roll, { num_hidden_layers }) => ({
      sliding_window: window(roll),
      ...(roll.chance(0.6) && { layer_types: windowed(roll, num_hidden_layers) }),
      rope_parameters: rope(roll),
    }),
  },
  ministral3: {
    shapes: "ministral3",
    draw: (roll) => ({
      sliding_window: roll.chance(0.5) ? window(roll) : null,
      rope_parameters: {
        rope_type: "yarn",
        rope_theta: roll.pick([500, 1e6]),
        factor: roll.pick([2, 4]),
        original_max_position_embeddings: roll.pick([4, 8]),
        mscale: roll.pick([1, 0.7]),
        mscale_all_dim: roll.pick([1, 1.2]),
        llama_4_scaling_beta: roll.pick([0.1, 0.4]),
      },
    }),
  },
  qwen2: {
    shapes: "qwen2",
    wholeHeads: true,
    draw: (roll, sizes) => ({ ...qwenWindows(roll, sizes), ...spelled(roll, rope(roll)) }),
  },
  qwen3: {
    shapes: "qwen3",
    draw: (roll, sizes) => ({
      attention_bias: roll.chance(0.3),
      ...qwenWindows(roll, sizes),
      ...spelled(roll, rope(roll)),
    }),
  },
  qwen3_moe: {
    shapes: "qwen3_moe",
    isAligned: true,
    draw: (roll, { num_hidden_layers }) => ({
      num_experts: roll.whole(2, 6),
      num_experts_per_tok: roll.whole(1, 2),
      moe_intermediate_size: 4 * roll.whole(1, 5),
      norm_topk_prob: roll.chance(0.5),
      mlp_only_layers: Array.from({ length: num_hidden_layers }, (_, i) => i).filter(() => roll.chance(0.3)),
      attention_bias: roll.chance(0.3),
      ...spelled(roll, rope(roll)),
    }),
  },
  qwen3_5_text: {
    shapes: "qwen3_5_text",
    draw: (roll, { num_hidden_layers: layers, head_dim }) => {
      const keyHeads = roll.whole(1, 2);
      const types = Array.from({ length: layers }, () => roll.pick(["linear_attention", "full_attention"]));
      return {
        partial_rotary_factor: head_dim === 8 ? roll.pick([0.25, 0.5, 1]) : 1,
        attention_bias: roll.chance(0.2),
        layer_types: types.map((type, i) => (i === layers - 1 ? "full_attention" : type)),
        linear_num_key_heads: keyHeads,
        linear_num_value_heads: keyHeads * roll.whole(1, 2),
        linear_key_head_dim: roll.pick([8, 16]),
        linear_value_head_dim: roll.pick([3, 8]),
        linear_conv_kernel_dim: roll.whole(2, 4),
      };
    },
  },
  mixtral: {
    shapes: "mixtral",
    isAligned: true,
    draw: (roll) => ({
      intermediate_size: 4 * roll.whole(2, 10),
      num_local_experts: roll.whole(2, 6),
      num_experts_per_tok: roll.whole(1, 2),
      sliding_window: roll.chance(0.4) ? window(roll) : null,
      ...spelled(roll, rope(roll)),
    }),
  },
  gemma: { shapes: "gemma", draw: (roll) => ({ attention_bias: roll.chance(0.2), ...spelled(roll, rope(roll)) }) },
  gemma2: { shapes: "gemma2", draw: (roll, sizes) => ({ ...gemma(roll, sizes), ...spelled(roll, rope(roll)) }) },
  gemma3_text: {
    shapes: "gemma3_text",
    draw: (roll, sizes) => ({
      ...gemma(roll, sizes),
      attn_logit_softcapping: null,
      rope_theta: roll.pick([1e4, 1e6]),
      rope_local_base_freq: roll.pick([100, 1e4]),
      ...(roll.chance(0.5) && { rope_scaling: { rope_type: "linear", factor: 8 } }),
    }),
  },
  gpt2: {
    shapes: "gpt2",
    layers: 3,
    draw: (roll, { hidden_size, num_attention_heads, vocab_size }) => ({
      n_embd: hidden_size,
      n_head: num_attention_heads,
      n_inner: roll.whole(8, 48),
      n_layer: 3,
      n_positions: CONTEXT,
      layer_norm_epsilon: roll.pick([1e-6, 1e-5, 1e-2]),
      vocab_size,
    }),
    wholeHeads: true,
  },
  phi3: {
    shapes: "phi3",
    wholeHeads: true,
    draw: (roll, { head_dim: d }) => {
      const partial_rotary_factor = d === 8 ? roll.pick([0.5, 1]) : 1;
      const factors = (most: number) =>
        Array.from({ length: (d * partial_rotary_factor) / 2 }, () => roll.whole(1, most));
      const isLong = roll.chance(0.5);
      return {
        pad_token_id: 0,
        partial_rotary_factor,
        sliding_window: roll.chance(0.5) ? window(roll) : null,
        ...(isLong && {
          original_max_position_embeddings: roll.pick([8, CONTEXT]),
          rope_scaling: { type: "longrope", short_factor: factors(2), long_factor: factors(9) },
        }),
      };
    },
  },
  smollm3: {
    shapes: "smollm3",
    wholeHeads: true,
    draw: (roll, { num_hidden_layers: layers }) => ({
      pad_token_id: 0,
      attention_bias: roll.chance(0.3),
      mlp_bias: roll.chance(0.3),
      ...(roll.chance(0.5)
        ? { no_rope_layers: Array.from({ length: layers }, () => roll.whole(0, 1)) }
        : { no_rope_layer_interval: roll.whole(2, 4) }),
      ...spelled(roll, rope(roll)),
    }),
  },
  stablelm: {
    shapes: "stablelm",
    wholeHeads: true,
    draw: (roll, { head_dim }) => ({
      partial_rotary_factor: head_dim === 8 ? roll.pick([0.25, 0.5, 1]) : 1,
      use_qkv_bias: roll.chance(0.5),
      use_parallel_residual: roll.chance(0.5),
      layer_norm_eps: roll.pick([1e-5, 1e-2]),
    }),
  },
  granite: {
    shapes: "granite",
    wholeHeads: true,
    draw: (roll) => ({
      attention_bias: roll.chance(0.3),
      mlp_bias: roll.chance(0.3),
      attention_multiplier: roll.pick([0.1, 0.5, 1]),
      embedding_multiplier: roll.pick([1, 3, 12]),
      residual_multiplier: roll.pick([0.22, 1]),
      logits_scaling: roll.pick([1, 4]),
      ...spelled(roll, rope(roll)),
    }),
  },
  olmo2: {
    shapes: "olmo2",
    wholeHeads: true,
    draw: (roll) => ({ attention_bias: roll.chance(0.3), ...spelled(roll, rope(roll)) }),
  },
  olmo3: {
    shapes: "olmo3",
    wholeHeads: true,
    draw: (roll, { num_hidden_layers }) => ({
      sliding_window: window(roll),
      ...(roll.chance(0.5) && { layer_types: windowed(roll, num_hidden_layers) }),
      rope_theta: roll.pick([1e4, 5e5]),
    }),
  },
  gpt_neox: {
    shapes: "gpt_neox",
    wholeHeads: true,
    layers: 3,
    draw: (roll, { head_dim }) => ({
      rotary_pct: head_dim === 8 ? roll.pick([0.25, 0.5, 1]) : 1,
      rotary_emb_base: roll.pick([500, 1e4]),
      use_parallel_residual: roll.chance(0.5),
      attention_bias: roll.chance(0.7),
      hidden_act: roll.pick(["gelu", "gelu_new"]),
      layer_norm_eps: roll.pick([1e-5, 1e-2]),
    }),
  },
};

/** Names of all families. */
export const randomFamilies: readonly string[] = Object.keys(families);

/** As many of each. */
export function randomConfigs(family: string): OddConfig[] {
  const { shapes, wholeHeads = false, isAligned = false, layers: fixed, draw } = families[family] as RandomFamily;
  const hasLayerNorm = ["gpt2", "stablelm", "gpt_neox"].includes(family);
  return Array.from({ length: EACH }, (_, i) => {
    const roll = dice(5000 + 100 * randomFamilies.indexOf(family) + i);
    const head_dim = roll.pick([4, 6, 8]);
    const kvHeads = roll.pick([1, 2, 3]);
    const heads = kvHeads * roll.pick([1, 2]);
    const sizes = {
      vocab_size: roll.whole(61, 80),
      hidden_size:
        heads * (wholeHeads ? head_dim : isAligned ? 4 * roll.whole(1, 3) : roll.whole(Math.ceil(12 / heads), 10)),
      intermediate_size: roll.whole(8, 48),
      num_hidden_layers: fixed ?? roll.whole(1, 4),
      num_attention_heads: heads,
      num_key_value_heads: family === "gpt2" || family === "gpt_neox" ? heads : kvHeads,
      head_dim,
    };
    const rest = {
      model_type: family,
      max_position_embeddings: CONTEXT,
      tie_word_embeddings: roll.chance(0.4),
      bos_token_id: 1,
      eos_token_id: 2,
      torch_dtype: "float32",
    };
    const norm = hasLayerNorm ? {} : { rms_norm_eps: roll.pick([1e-6, 1e-5, 1e-2]) };
    const written = family === "gpt2" ? {} : { ...sizes, ...(wholeHeads && { head_dim: undefined }) };
    return {
      name: `${family} ${i}`,
      family: shapes,
      key: "",
      config: { ...rest, ...norm, ...written, ...draw(roll, sizes) },
    };
  });
}
