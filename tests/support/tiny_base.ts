/** Tiny random bases of types that are not Llamas, as transformers would save them, with the packaged base's tokenizer. */
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { serializeSafetensors, type Tensor } from "@zerogate/core/formats";
import { normal } from "@zerogate/core/training";
import { base } from "./world.ts";

/** Vocabulary, hidden size, feed-forward size, layers, heads, head dimension, positions. */
const [V, D, F, N, H, d, P] = [1024, 24, 40, 3, 4, 6, 192];

type Shapes = Readonly<Record<string, readonly number[]>>;

const withHead: Shapes = {
  "model.embed_tokens.weight": [V, D],
  "model.norm.weight": [D],
  "lm_head.weight": [V, D],
};

const common = { vocab_size: V, bos_token_id: 1, eos_token_id: 2, dtype: "float32" };
const llamaSizes = {
  ...common,
  hidden_size: D,
  intermediate_size: F,
  num_hidden_layers: N,
  num_attention_heads: H,
  max_position_embeddings: P,
};

/** Layers of the Qwen 3.5 that have a delta net: its key heads, value heads, numbers of each, and taps. */
const deltaLayers: readonly number[] = [1];
const delta = { J: 2, N: 4, A: 4, B: 3, taps: 4 };

/** Config, tensors of a layer, and the others. */
const bases = {
  gpt2: {
    config: { ...common, n_embd: D, n_inner: F, n_layer: N, n_head: H, n_positions: P },
    layers: "h",
    layer: () => ({
      "ln_1.weight": [D],
      "ln_1.bias": [D],
      "attn.c_attn.weight": [D, 3 * D],
      "attn.c_attn.bias": [3 * D],
      "attn.c_proj.weight": [D, D],
      "attn.c_proj.bias": [D],
      "ln_2.weight": [D],
      "ln_2.bias": [D],
      "mlp.c_fc.weight": [D, F],
      "mlp.c_fc.bias": [F],
      "mlp.c_proj.weight": [F, D],
      "mlp.c_proj.bias": [D],
      "attn.bias": [1, 1, P, P], // the mask, which old files hold
    }),
    others: { "wte.weight": [V, D], "wpe.weight": [P, D], "ln_f.weight": [D], "ln_f.bias": [D] },
  },
  qwen2: {
    config: {
      ...llamaSizes,
      num_key_value_heads: 2,
      use_sliding_window: true,
      sliding_window: 9,
      max_window_layers: 1,
    },
    layers: "model.layers",
    layer: () => ({
      ...llamaLayer(H * d, 2 * d),
      "self_attn.q_proj.bias": [H * d],
      "self_attn.k_proj.bias": [2 * d],
      "self_attn.v_proj.bias": [2 * d],
    }),
    others: withHead,
  },
  gemma: {
    config: { ...llamaSizes, num_key_value_heads: 1, head_dim: 8, hidden_act: "gelu_pytorch_tanh" },
    layers: "model.layers",
    layer: () => llamaLayer(H * 8, 8),
    others: { "model.embed_tokens.weight": [V, D], "model.norm.weight": [D] },
  },
  qwen3_5_text: {
    config: {
      ...llamaSizes,
      num_key_value_heads: 2,
      head_dim: 8,
      partial_rotary_factor: 0.5,
      layer_types: Array.from({ length: N }, (_, i) => (deltaLayers.includes(i) ? "linear" : "full")).map(
        (kind) => `${kind}_attention`,
      ),
      linear_num_key_heads: delta.J,
      linear_num_value_heads: delta.N,
      linear_key_head_dim: delta.A,
      linear_value_head_dim: delta.B,
      linear_conv_kernel_dim: delta.taps,
    },
    layers: "model.layers",
    layer: qwen35Layer,
    others: withHead,
  },
  qwen3_moe: {
    config: {
      ...llamaSizes,
      num_key_value_heads: 2,
      head_dim: 8,
      num_experts: 5,
      num_experts_per_tok: 2,
      moe_intermediate_size: 16,
      norm_topk_prob: true,
      mlp_only_layers: [1],
    },
    layers: "model.layers",
    layer: (i) => ({
      ...(i === 1 ? llamaLayer(H * 8, 2 * 8) : withoutMlp(llamaLayer(H * 8, 2 * 8))),
      "self_attn.q_norm.weight": [8],
      "self_attn.k_norm.weight": [8],
      ...(i !== 1 && experts("mlp", 5, ["gate_proj", "up_proj", "down_proj"])),
    }),
    others: withHead,
  },
  mixtral: {
    config: {
      ...llamaSizes,
      num_key_value_heads: 2,
      head_dim: d,
      intermediate_size: 16,
      num_local_experts: 4,
      num_experts_per_tok: 2,
    },
    layers: "model.layers",
    layer: () => ({
      ...withoutMlp(llamaLayer(H * d, 2 * d)),
      ...experts("block_sparse_moe", 4, ["w1", "w3", "w2"]),
    }),
    others: withHead,
  },
} as const satisfies Readonly<Record<string, TinyBase>>;

interface TinyBase {
  readonly config: Readonly<Record<string, unknown>>;
  readonly layers: string;
  /** Of layer i. */
  readonly layer: (i: number) => Shapes;
  readonly others: Shapes;
}

export type TinyType = keyof typeof bases;
export const tinyTypes = Object.keys(bases) as TinyType[];

/**
 * Writes the base into `folder`, its weights in two shards, and returns how many numbers it has.
 * @param inside is the type of a larger model whose language model it is to be. @default none
 */
export function writeTinyBase(folder: string, type: TinyType, { inside }: { readonly inside?: string } = {}): number {
  const { config, layers, layer, others }: TinyBase = bases[type];
  const shapes = Object.entries(others);
  for (let i = 0; i < N; i++) {
    for (const [name, shape] of Object.entries(layer(i))) shapes.push([`${layers}.${i}.${name}`, shape]);
  }
  const placed = (name: string) => (inside === undefined ? name : name.replace(/^model\./, "model.language_model."));
  const tensors = shapes.map(([name, shape], index): [string, Tensor] => [
    placed(name),
    tensor(type, name, shape, index),
  ]);
  mkdirSync(folder, { recursive: true });
  const shards = [tensors.filter((_, i) => i % 2 === 0), tensors.filter((_, i) => i % 2 === 1)];
  const names = shards.map((_, s) => `model-0000${s + 1}-of-00002.safetensors`);
  const weightMap = shards.flatMap((shard, s) => shard.map(([name]) => [name, names[s]]));
  for (const [s, shard] of shards.entries()) {
    writeFileSync(join(folder, names[s] ?? ""), serializeSafetensors(new Map(shard), { format: "pt" }));
  }
  const index = { metadata: {}, weight_map: Object.fromEntries(weightMap) };
  writeFileSync(join(folder, "model.safetensors.index.json"), JSON.stringify(index));
  const own = { model_type: type, ...config };
  const whole = { model_type: inside, text_config: own, vision_config: {}, ...common };
  writeFileSync(join(folder, "config.json"), JSON.stringify(inside === undefined ? own : whole));
  for (const file of ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"]) {
    cpSync(join(base, file), join(folder, file));
  }
  const counted = shapes.filter(([name]) => !name.endsWith(".attn.bias"));
  return counted.reduce((sum, [, shape]) => sum + shape.reduce((a, b) => a * b), 0);
}

function llamaLayer(Q: number, KV: number): Shapes {
  return {
    "input_layernorm.weight": [D],
    "self_attn.q_proj.weight": [Q, D],
    "self_attn.k_proj.weight": [KV, D],
    "self_attn.v_proj.weight": [KV, D],
    "self_attn.o_proj.weight": [D, Q],
    "post_attention_layernorm.weight": [D],
    "mlp.gate_proj.weight": [F, D],
    "mlp.up_proj.weight": [F, D],
    "mlp.down_proj.weight": [D, F],
  };
}

function withoutMlp(layer: Shapes): Shapes {
  return Object.fromEntries(Object.entries(layer).filter(([name]) => !name.startsWith("mlp.")));
}

/** A router and its experts, each of 16 units, whose maps are called as `names` says: gate, up, down. */
function experts(block: string, count: number, [gate, up, down]: readonly [string, string, string]): Shapes {
  const shapes: Record<string, readonly number[]> = { [`${block}.gate.weight`]: [count, D] };
  for (let e = 0; e < count; e++) {
    shapes[`${block}.experts.${e}.${gate}.weight`] = [16, D];
    shapes[`${block}.experts.${e}.${up}.weight`] = [16, D];
    shapes[`${block}.experts.${e}.${down}.weight`] = [D, 16];
  }
  return shapes;
}

/** Attention with gates on its output, or a delta net. */
function qwen35Layer(i: number): Shapes {
  const attending = {
    ...llamaLayer(H * 8, 2 * 8),
    "self_attn.q_proj.weight": [2 * H * 8, D],
    "self_attn.q_norm.weight": [8],
    "self_attn.k_norm.weight": [8],
  };
  if (!deltaLayers.includes(i)) return attending;
  const rest = Object.entries(attending).filter(([name]) => !name.startsWith("self_attn."));
  const { J, N: heads, A, B, taps } = delta;
  const channels = 2 * J * A + heads * B;
  return {
    ...Object.fromEntries(rest),
    "linear_attn.in_proj_qkv.weight": [channels, D],
    "linear_attn.in_proj_z.weight": [heads * B, D],
    "linear_attn.in_proj_b.weight": [heads, D],
    "linear_attn.in_proj_a.weight": [heads, D],
    "linear_attn.conv1d.weight": [channels, 1, taps],
    "linear_attn.A_log": [heads],
    "linear_attn.dt_bias": [heads],
    "linear_attn.norm.weight": [B],
    "linear_attn.out_proj.weight": [D, heads * B],
  };
}

/** Norms near 1 (near 0 where the family adds 1), all else small. */
function tensor(type: TinyType, name: string, shape: readonly number[], index: number): Tensor {
  const isNorm = shape.length === 1 && /norm|ln_/.test(name) && name.endsWith("weight");
  const addsOne = type === "gemma" || (type === "qwen3_5_text" && !name.includes("linear_attn"));
  const mean = isNorm && !addsOne ? 1 : 0;
  const length = shape.reduce((a, b) => a * b);
  const values = Float32Array.from({ length }, (_, i) => mean + 0.2 * normal(17, index, i));
  return { dtype: "F32", shape, bytes: new Uint8Array(values.buffer) };
}
