/** Random tiny configurations for the live suite, from a seed. A further base is one more entry of `bases`. */
import type { DType } from "@zerogate/core/engine";
import { type Dice, dice } from "../support/dice.ts";

export interface LiveCase {
  readonly name: string;
  /** The real PEFT, or torch alone (torch_adapter.py) for a base that PEFT refuses. */
  readonly against: "peft" | "torch";
  /** As transformers' `AutoConfig.for_model` takes it. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Of the base's weights on disk, and of the adapter that PEFT writes. Both sides compute in float32. */
  readonly storage: "float32" | "bfloat16" | "float16";
  readonly seed: number;
  /** Of PEFT's adapter. */
  readonly shape: AdapterSize;
  /** Of ours; `dtype` is that of its file. */
  readonly ours: AdapterSize & { readonly dtype: DType };
  readonly sequences: readonly { readonly ids: readonly number[]; readonly firstTarget: number }[];
  readonly padding: "left" | "right";
}

interface AdapterSize {
  readonly adapter_len: number;
  readonly adapter_layers: number;
}

const CONTEXT = 32;

interface LiveBase {
  readonly against: LiveCase["against"];
  readonly config: (roll: Dice) => Readonly<Record<string, unknown>>;
}

const bases: readonly LiveBase[] = [
  {
    against: "peft",
    config: (roll) => ({
      ...decoder(roll),
      model_type: "llama",
      attention_bias: roll.chance(0.3),
      mlp_bias: roll.chance(0.2),
      rope_parameters: rope(roll),
    }),
  },
  {
    against: "peft",
    config: (roll) => ({
      ...decoder(roll),
      model_type: "mistral",
      sliding_window: roll.chance(0.6) ? roll.whole(2, 9) : null,
      rope_parameters: { rope_type: "default", rope_theta: roll.pick([1e4, 1e6]) },
    }),
  },
  { against: "peft", config: gpt2 },
  {
    against: "torch",
    config: (roll) => ({
      ...decoder(roll, true),
      model_type: "llama",
      attention_bias: roll.chance(0.3),
      rope_parameters: rope(roll),
    }),
  },
  { against: "torch", config: qwen2 },
  {
    against: "torch",
    config: (roll) => ({ ...decoder(roll, true), model_type: "gemma", attention_bias: roll.chance(0.2) }),
  },
];

/**
 * What all bases of the Llama family have. PEFT takes ⌊D / (key heads · head_dim)⌋ for the query heads a key head, so D may
 * pass heads · head_dim by less than key heads · head_dim; transformers wants a multiple of the heads. `anyWidth` lets D be
 * anything from 8 on, which PEFT cannot.
 */
function decoder(roll: Dice, anyWidth = false): Record<string, unknown> {
  const headDim = roll.pick([4, 6, 8, 16]);
  const kvHeads = roll.pick([1, 2, 3]);
  const heads = kvHeads * roll.pick([1, 2, 4]);
  const most = Math.ceil((kvHeads * headDim) / heads) - 1;
  const beyond = roll.chance(0.3) ? heads * roll.whole(0, most) : 0;
  return {
    vocab_size: roll.whole(24, 64),
    hidden_size: anyWidth ? heads * roll.whole(Math.ceil(8 / heads), 2 * headDim) : heads * headDim + beyond,
    intermediate_size: roll.whole(8, 48),
    num_hidden_layers: roll.whole(1, 4),
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
    head_dim: headDim,
    max_position_embeddings: CONTEXT,
    rms_norm_eps: roll.pick([1e-6, 1e-5]),
    tie_word_embeddings: roll.chance(0.3),
  };
}

function gpt2(roll: Dice): Record<string, unknown> {
  const heads = roll.pick([1, 2, 3, 4]);
  return {
    model_type: "gpt2",
    vocab_size: roll.whole(24, 64),
    n_embd: heads * roll.whole(Math.ceil(8 / heads), 12),
    n_inner: roll.chance(0.5) ? roll.whole(8, 48) : null,
    n_layer: roll.whole(1, 4),
    n_head: heads,
    n_positions: CONTEXT,
    layer_norm_epsilon: roll.pick([1e-6, 1e-5]),
    activation_function: roll.pick(["gelu_new", "gelu_pytorch_tanh"]),
    tie_word_embeddings: roll.chance(0.7),
  };
}

function qwen2(roll: Dice): Record<string, unknown> {
  const model = decoder(roll, roll.chance(0.5));
  const layers = Array.from({ length: Number(model["num_hidden_layers"]) }, () =>
    roll.pick(["full_attention", "sliding_attention"]),
  );
  return {
    ...model,
    model_type: "qwen2",
    use_sliding_window: true,
    sliding_window: roll.whole(2, 9),
    ...(roll.chance(0.5) ? { layer_types: layers } : { max_window_layers: roll.whole(0, 4) }),
    rope_parameters: rope(roll),
  };
}

function rope(roll: Dice): Record<string, unknown> {
  const rope_theta = roll.pick([1e4, 5e5]);
  const original_max_position_embeddings = 16;
  return roll.pick([
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
}

/** Case number `index`; the bases take turns. */
export function liveCase(index: number): LiveCase {
  const roll = dice(1000 + index);
  const { against, config: draw } = bases[index % bases.length] as LiveBase;
  const config = draw(roll);
  const { vocab_size: vocabulary, n_layer, num_hidden_layers: layers = n_layer } = config as Record<string, number>;
  const size = () => ({ adapter_len: roll.whole(1, 9), adapter_layers: roll.whole(1, layers ?? 1) });
  return {
    name: `case ${index}`,
    against,
    config,
    storage: roll.pick(["float32", "bfloat16", "float16"]),
    seed: index,
    shape: size(),
    ours: { ...size(), dtype: roll.pick(["f32", "bf16", "f16"]) },
    sequences: Array.from({ length: roll.whole(1, 4) }, () => {
      const ids = Array.from({ length: roll.whole(2, 20) }, () => roll.whole(0, (vocabulary ?? 1) - 1));
      return { ids, firstTarget: roll.whole(1, ids.length - 1) };
    }),
    padding: roll.pick(["left", "right"]),
  };
}
