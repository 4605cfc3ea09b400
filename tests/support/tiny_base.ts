/** Tiny random bases of the types that are not Llamas, as transformers would save them, with the packaged base's tokenizer. */
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { serializeSafetensors, type Tensor } from "@zerogate/core/formats";
import { normal } from "@zerogate/core/training";
import { base } from "./world.ts";

/** Vocabulary, hidden size, feed-forward size, layers, heads, head dimension, positions. */
const [V, D, F, N, H, d, P] = [1024, 24, 40, 3, 4, 6, 192];

type Shapes = Readonly<Record<string, readonly number[]>>;

const common = { vocab_size: V, bos_token_id: 1, eos_token_id: 2, dtype: "float32" };
const llamaSizes = {
  ...common,
  hidden_size: D,
  intermediate_size: F,
  num_hidden_layers: N,
  num_attention_heads: H,
  max_position_embeddings: P,
};

/** Config, tensors of one layer, and the others. */
const bases = {
  gpt2: {
    config: { ...common, n_embd: D, n_inner: F, n_layer: N, n_head: H, n_positions: P },
    layers: "h",
    layer: {
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
    },
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
    layer: {
      ...llamaLayer(H * d, 2 * d),
      "self_attn.q_proj.bias": [H * d],
      "self_attn.k_proj.bias": [2 * d],
      "self_attn.v_proj.bias": [2 * d],
    },
    others: { "model.embed_tokens.weight": [V, D], "model.norm.weight": [D], "lm_head.weight": [V, D] },
  },
  gemma: {
    config: { ...llamaSizes, num_key_value_heads: 1, head_dim: 8, hidden_act: "gelu_pytorch_tanh" },
    layers: "model.layers",
    layer: llamaLayer(H * 8, 8),
    others: { "model.embed_tokens.weight": [V, D], "model.norm.weight": [D] },
  },
} as const satisfies Readonly<
  Record<string, { config: Readonly<Record<string, unknown>>; layers: string; layer: Shapes; others: Shapes }>
>;

export type TinyType = keyof typeof bases;
export const tinyTypes = Object.keys(bases) as TinyType[];

/** Writes the base into `folder`, its weights in two shards, and returns how many numbers it has. */
export function writeTinyBase(folder: string, type: TinyType): number {
  const { config, layers, layer, others }: (typeof bases)[TinyType] = bases[type];
  const shapes = Object.entries<readonly number[]>(others);
  for (let i = 0; i < N; i++) {
    for (const [name, shape] of Object.entries<readonly number[]>(layer))
      shapes.push([`${layers}.${i}.${name}`, shape]);
  }
  const tensors = shapes.map(([name, shape], index): [string, Tensor] => [name, tensor(type, name, shape, index)]);
  mkdirSync(folder, { recursive: true });
  const shards = [tensors.filter((_, i) => i % 2 === 0), tensors.filter((_, i) => i % 2 === 1)];
  const names = shards.map((_, s) => `model-0000${s + 1}-of-00002.safetensors`);
  const weightMap = shards.flatMap((shard, s) => shard.map(([name]) => [name, names[s]]));
  for (const [s, shard] of shards.entries()) {
    writeFileSync(join(folder, names[s] ?? ""), serializeSafetensors(new Map(shard), { format: "pt" }));
  }
  const index = { metadata: {}, weight_map: Object.fromEntries(weightMap) };
  writeFileSync(join(folder, "model.safetensors.index.json"), JSON.stringify(index));
  writeFileSync(join(folder, "config.json"), JSON.stringify({ model_type: type, ...config }));
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

/** Norms near 1 (Gemma's near 0, to which it adds 1), all else small. */
function tensor(type: TinyType, name: string, shape: readonly number[], index: number): Tensor {
  const isNorm = shape.length === 1 && /norm|ln_/.test(name) && name.endsWith("weight");
  const mean = isNorm && type !== "gemma" ? 1 : 0;
  const length = shape.reduce((a, b) => a * b);
  const values = Float32Array.from({ length }, (_, i) => mean + 0.2 * normal(17, index, i));
  return { dtype: "F32", shape, bytes: new Uint8Array(values.buffer) };
}
