/** Writes an odd configuration as a checkpoint: random tensors of the shapes that its config asks for. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { serializeSafetensors, type Tensor } from "@zerogate/core/formats";
import { normal } from "@zerogate/core/training";
import type { OddConfig } from "./odd_configs.ts";

type Shapes = Record<string, readonly number[]>;

export function writeOddCheckpoint(folder: string, odd: OddConfig): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "config.json"), JSON.stringify(odd.config));
  const tensors = new Map<string, Tensor>();
  for (const [index, [name, shape]] of Object.entries(shapesOf(odd)).entries()) {
    tensors.set(name, tensor(odd, name, shape, index));
  }
  const [embedding, headName] = namesOf(odd.family);
  const same = tensors.get(embedding);
  if (same && (odd.head === "same" || odd.head === "only")) tensors.set(headName, same);
  if (odd.head === "only") tensors.delete(embedding);
  writeFileSync(join(folder, "model.safetensors"), serializeSafetensors(tensors, { format: "pt" }));
}

/** What the embedding and the head are called. */
function namesOf(family: OddConfig["family"]): readonly [embedding: string, head: string] {
  if (family === "gpt2") return ["transformer.wte.weight", "lm_head.weight"];
  if (family === "gpt_neox") return ["gpt_neox.embed_in.weight", "embed_out.weight"];
  return ["model.embed_tokens.weight", "lm_head.weight"];
}

const tiedFamilies: readonly string[] = ["gemma", "gpt2", "gemma2", "gemma3_text", "smollm3"];
/** Families with `attention_bias` on all four projections, and with `mlp_bias`. */
const withAttentionBias: readonly string[] = [
  "llama",
  "gemma",
  "qwen3",
  "qwen3_moe",
  "qwen3_5_text",
  "smollm3",
  "granite",
  "olmo2",
  "olmo3",
  "gemma2",
  "gemma3_text",
];
const withMlpBias: readonly string[] = ["llama", "smollm3", "granite"];

function shapesOf(odd: OddConfig): Shapes {
  const { family, config } = odd;
  const number = (name: string, fallback: number) => (typeof config[name] === "number" ? config[name] : fallback);
  const D = number("hidden_size", number("n_embd", 24));
  const V = number("vocab_size", 61);
  const tied = config["tie_word_embeddings"] ?? tiedFamilies.includes(family);
  const head: Shapes = (odd.head ?? (tied ? "none" : "own")) === "own" ? { [namesOf(family)[1]]: [V, D] } : {};
  if (family === "gpt2") return { ...gpt2Shapes(number("n_embd", 24), V, number("n_inner", 4 * 24), odd), ...head };
  const H = number("num_attention_heads", 4);
  const d = number("head_dim", D / H);
  const G = number("num_key_value_heads", H);
  const F = number("intermediate_size", 40);
  if (family === "gpt_neox") return { ...gptNeoxShapes(D, V, F, odd), ...head };
  const asked = config["attention_bias"] === true && withAttentionBias.includes(family);
  const isStableLm = family === "stablelm";
  const hasBias = odd.biases || family === "qwen2" || asked || (isStableLm && config["use_qkv_bias"] === true);
  const outputBias = odd.biases || asked;
  const mlpBias = odd.biases || (config["mlp_bias"] === true && withMlpBias.includes(family));
  const vector = (name: string): Shapes => ({ [`${name}.weight`]: [D], ...(isStableLm && { [`${name}.bias`]: [D] }) });
  const shapes: Shapes = { "model.embed_tokens.weight": [V, D], ...vector("model.norm") };
  for (let i = 0; i < number("num_hidden_layers", 3); i++) {
    const apart = {
      "self_attn.q_proj": [(family === "qwen3_5_text" ? 2 : 1) * H * d, D, hasBias],
      "self_attn.k_proj": [G * d, D, hasBias],
      "self_attn.v_proj": [G * d, D, hasBias],
    } as const;
    const fused = {
      "self_attn.qkv_proj": [(H + 2 * G) * d, D, odd.biases ?? false],
      "mlp.gate_up_proj": [2 * F, D, odd.biases ?? false],
    } as const;
    const mlp = {
      "mlp.gate_proj": [F, D, mlpBias],
      "mlp.up_proj": [F, D, mlpBias],
      "mlp.down_proj": [D, F, mlpBias],
    } as const;
    const maps: Readonly<Record<string, readonly [number, number, boolean]>> = {
      "self_attn.o_proj": [D, H * d, outputBias],
      ...(family === "phi3"
        ? { ...fused, "mlp.down_proj": [D, F, mlpBias] }
        : { ...apart, ...(expertsOf(odd, i, D, F) ?? mlp) }),
    };
    for (const [name, [rows, columns, bias]] of Object.entries(maps)) {
      shapes[`model.layers.${i}.${name}.weight`] = [rows, columns];
      if (bias) shapes[`model.layers.${i}.${name}.bias`] = [rows];
    }
    for (const norm of normsOf(odd)) Object.assign(shapes, vector(`model.layers.${i}.${norm}`));
    if (family === "qwen3_5_text") Object.assign(shapes, deltaShapes(odd, i, D));
    const isOlmo = family === "olmo2" || family === "olmo3";
    if (isOlmo || ["qwen3", "qwen3_moe", "qwen3_5_text", "gemma3_text"].includes(family)) {
      shapes[`model.layers.${i}.self_attn.q_norm.weight`] = [isOlmo ? H * d : d];
      shapes[`model.layers.${i}.self_attn.k_norm.weight`] = [isOlmo ? G * d : d];
    }
  }
  return { ...shapes, ...head };
}

/** The delta net of layer i, beside attention that nothing reads if it has one. */
function deltaShapes({ config }: OddConfig, i: number, D: number): Shapes {
  const [J, N] = [Number(config["linear_num_key_heads"]), Number(config["linear_num_value_heads"])];
  const [A, B] = [Number(config["linear_key_head_dim"]), Number(config["linear_value_head_dim"])];
  const C = 2 * J * A + N * B;
  const own: Shapes = {
    "in_proj_qkv.weight": [C, D],
    "in_proj_z.weight": [N * B, D],
    "in_proj_b.weight": [N, D],
    "in_proj_a.weight": [N, D],
    "conv1d.weight": [C, 1, Number(config["linear_conv_kernel_dim"])],
    A_log: [N],
    dt_bias: [N],
    "norm.weight": [B],
    "out_proj.weight": [D, N * B],
  };
  return Object.fromEntries(
    Object.entries(own).map(([name, shape]) => [`model.layers.${i}.linear_attn.${name}`, shape]),
  );
}

/** Router and experts of layer i; undefined if it has none. */
function expertsOf({ family, config }: OddConfig, i: number, D: number, F: number) {
  const isDense = Array.isArray(config["mlp_only_layers"]) && config["mlp_only_layers"].includes(i);
  const count = Number(config["num_experts"] ?? config["num_local_experts"] ?? 0);
  if (count === 0 || isDense) return undefined;
  const own = Number(config["moe_intermediate_size"] ?? F);
  const isMixtral = family === "mixtral";
  const block = isMixtral ? "block_sparse_moe" : "mlp";
  const [gate, up, down] = isMixtral ? ["w1", "w3", "w2"] : ["gate_proj", "up_proj", "down_proj"];
  const maps: Record<string, readonly [number, number, boolean]> = { [`${block}.gate`]: [count, D, false] };
  for (let e = 0; e < count; e++) {
    maps[`${block}.experts.${e}.${gate}`] = [own, D, false];
    maps[`${block}.experts.${e}.${up}`] = [own, D, false];
    maps[`${block}.experts.${e}.${down}`] = [D, own, false];
  }
  return maps;
}

function normsOf({ family, config }: OddConfig): readonly string[] {
  const behind = ["post_attention_layernorm", "post_feedforward_layernorm"];
  if (family === "olmo2" || family === "olmo3") return behind;
  if (family === "gemma2" || family === "gemma3_text")
    return ["input_layernorm", "pre_feedforward_layernorm", ...behind];
  if (family === "stablelm" && config["use_parallel_residual"] === true) return ["input_layernorm"];
  return ["input_layernorm", "post_attention_layernorm"];
}

function gptNeoxShapes(D: number, V: number, F: number, { config }: OddConfig): Shapes {
  const shapes: Shapes = {
    "gpt_neox.embed_in.weight": [V, D],
    "gpt_neox.final_layer_norm.weight": [D],
    "gpt_neox.final_layer_norm.bias": [D],
  };
  const hasBias = config["attention_bias"] !== false;
  for (let i = 0; i < 3; i++) {
    const layer: Shapes = {
      "input_layernorm.weight": [D],
      "input_layernorm.bias": [D],
      "post_attention_layernorm.weight": [D],
      "post_attention_layernorm.bias": [D],
      "attention.query_key_value.weight": [3 * D, D],
      "attention.dense.weight": [D, D],
      ...(hasBias && { "attention.query_key_value.bias": [3 * D], "attention.dense.bias": [D] }),
      "mlp.dense_h_to_4h.weight": [F, D],
      "mlp.dense_h_to_4h.bias": [F],
      "mlp.dense_4h_to_h.weight": [D, F],
      "mlp.dense_4h_to_h.bias": [D],
    };
    for (const [name, shape] of Object.entries(layer)) shapes[`gpt_neox.layers.${i}.${name}`] = shape;
  }
  return shapes;
}

function gpt2Shapes(D: number, V: number, F: number, odd: OddConfig): Shapes {
  const shapes: Shapes = {
    "transformer.wte.weight": [V, D],
    "transformer.wpe.weight": [32, D],
    "transformer.ln_f.weight": [D],
    "transformer.ln_f.bias": [D],
  };
  for (let i = 0; i < 3; i++) {
    const layer: Shapes = {
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
      ...(odd.biases && { "attn.q_norm.weight": [6] }),
    };
    for (const [name, shape] of Object.entries(layer)) shapes[`transformer.h.${i}.${name}`] = shape;
  }
  return shapes;
}

/** Norms near 1 (Gemma's near 0, to which it adds 1); all else so large that every block matters. */
function tensor({ family }: OddConfig, name: string, shape: readonly number[], index: number): Tensor {
  const isNorm = /norm|ln_/.test(name) && name.endsWith("weight");
  const mean = isNorm && !family.startsWith("gemma") ? 1 : 0;
  const deviation =
    shape.length === 1 ? 0.2 : /embed_tokens|embed_in|wte/.test(name) ? 1 : 1 / Math.sqrt(shape[1] ?? 1);
  const length = shape.reduce((a, b) => a * b);
  const values = Float32Array.from({ length }, (_, i) => mean + deviation * normal(23, index, i));
  return { dtype: "F32", shape, bytes: new Uint8Array(values.buffer) };
}
