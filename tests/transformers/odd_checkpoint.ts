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
  const embedding = odd.family === "gpt2" ? "transformer.wte.weight" : "model.embed_tokens.weight";
  const same = tensors.get(embedding);
  if (same && (odd.head === "same" || odd.head === "only")) tensors.set("lm_head.weight", same);
  if (odd.head === "only") tensors.delete(embedding);
  writeFileSync(join(folder, "model.safetensors"), serializeSafetensors(tensors, { format: "pt" }));
}

function shapesOf(odd: OddConfig): Shapes {
  const { family, config } = odd;
  const number = (name: string, fallback: number) => (typeof config[name] === "number" ? config[name] : fallback);
  const D = number("hidden_size", 24);
  const V = number("vocab_size", 61);
  const tied = config["tie_word_embeddings"] ?? (family === "gemma" || family === "gpt2");
  const head: Shapes = (odd.head ?? (tied ? "none" : "own")) === "own" ? { "lm_head.weight": [V, D] } : {};
  if (family === "gpt2") return { ...gpt2Shapes(number("n_embd", 24), V, number("n_inner", 4 * 24), odd), ...head };
  const H = number("num_attention_heads", 4);
  const d = number("head_dim", D / H);
  const G = number("num_key_value_heads", H);
  const hasBias = odd.biases || family === "qwen2" || (config["attention_bias"] === true && family !== "mistral");
  const outputBias = odd.biases || (config["attention_bias"] === true && (family === "llama" || family === "gemma"));
  const mlpBias = odd.biases || (config["mlp_bias"] === true && family === "llama");
  const F = number("intermediate_size", 40);
  const shapes: Shapes = { "model.embed_tokens.weight": [V, D], "model.norm.weight": [D] };
  for (let i = 0; i < number("num_hidden_layers", 3); i++) {
    const maps: Readonly<Record<string, readonly [number, number, boolean]>> = {
      "self_attn.q_proj": [H * d, D, hasBias],
      "self_attn.k_proj": [G * d, D, hasBias],
      "self_attn.v_proj": [G * d, D, hasBias],
      "self_attn.o_proj": [D, H * d, outputBias],
      "mlp.gate_proj": [F, D, mlpBias],
      "mlp.up_proj": [F, D, mlpBias],
      "mlp.down_proj": [D, F, mlpBias],
    };
    for (const [name, [rows, columns, bias]] of Object.entries(maps)) {
      shapes[`model.layers.${i}.${name}.weight`] = [rows, columns];
      if (bias) shapes[`model.layers.${i}.${name}.bias`] = [rows];
    }
    shapes[`model.layers.${i}.input_layernorm.weight`] = [D];
    shapes[`model.layers.${i}.post_attention_layernorm.weight`] = [D];
  }
  return { ...shapes, ...head };
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
  const mean = isNorm && family !== "gemma" ? 1 : 0;
  const deviation = shape.length === 1 ? 0.2 : /embed|wte/.test(name) ? 1 : 1 / Math.sqrt(shape[1] ?? 1);
  const length = shape.reduce((a, b) => a * b);
  const values = Float32Array.from({ length }, (_, i) => mean + deviation * normal(23, index, i));
  return { dtype: "F32", shape, bytes: new Uint8Array(values.buffer) };
}
