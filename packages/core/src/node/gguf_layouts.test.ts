/** GGUF files whose tensors lie otherwise than in a folder: experts in one tensor, maps turned, rows in pairs, blocks that stay as they are. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { problemsOf } from "../../test/folder_tensors.ts";
import { type WrittenTensor, type WrittenValue, writeGguf } from "../../test/gguf_writer.ts";
import { tinyBases } from "../../test/tiny_bases.ts";
import { writeTinyModel } from "../../test/tiny_files.ts";
import { tinyConfig, tinyImage } from "../../test/tiny_model.ts";
import { parseSafetensors, type Tensor } from "../formats/safetensors.ts";
import { dequantize, quantize } from "../formats/scaled.ts";
import type { ModelConfig } from "../model/config.ts";
import { weightOf } from "../model/weights.ts";
import { readModelConfig } from "./model_config.ts";
import { loadWeights } from "./model_files.ts";

const scratch = mkdtempSync(join(tmpdir(), "zerogate-gguf-"));
afterAll(() => rmSync(scratch, { recursive: true }));
const [F32, Q4_0] = [0, 2];
const u32 = (value: number): WrittenValue => ["u32", value];
const f32 = (value: number): WrittenValue => ["f32", value];

/** Rows j and j + d/2 of each head side by side. */
function inPairs({ bytes, shape }: Pick<Tensor, "bytes" | "shape">, heads: number): Uint8Array {
  const [rows = 0] = shape;
  const [d, width] = [rows / heads, bytes.length / rows];
  const out = new Uint8Array(bytes.length);
  for (let row = 0; row < rows; row++) {
    const inHead = row % d;
    const to = row - inHead + (inHead < d / 2 ? 2 * inHead : 2 * (inHead - d / 2) + 1);
    out.set(bytes.subarray(row * width, (row + 1) * width), to * width);
  }
  return out;
}

function turned({ bytes, shape }: Tensor): Tensor {
  const [rows = 0, columns = 0] = shape;
  const numbers = new Float32Array(bytes.slice().buffer);
  const out = Float32Array.from(numbers, (_, i) => numbers[(i % rows) * columns + Math.floor(i / rows)] ?? Number.NaN);
  return { dtype: "F32", shape: [columns, rows], bytes: new Uint8Array(out.buffer) };
}

interface Layout {
  readonly architecture: string;
  readonly changes: Partial<ModelConfig>;
  readonly hasPairs?: boolean;
  readonly isTurned?: boolean;
  /** Parts of names in transformers, and what llama.cpp calls them. */
  readonly names: Readonly<Record<string, string>>;
  readonly metadata: Readonly<Record<string, WrittenValue>>;
}

const changesOf = (title: string): Partial<ModelConfig> =>
  tinyBases.find((base) => base.title.startsWith(title))?.changes ?? {};
const llamaNames = {
  "model.embed_tokens": "token_embd",
  "model.norm": "output_norm",
  lm_head: "output",
  input_layernorm: "attn_norm",
  "self_attn.q_proj": "attn_q",
  "self_attn.k_proj": "attn_k",
  "self_attn.v_proj": "attn_v",
  "self_attn.o_proj": "attn_output",
  "self_attn.q_norm": "attn_q_norm",
  "self_attn.k_norm": "attn_k_norm",
  post_attention_layernorm: "ffn_norm",
  "mlp.gate_proj": "ffn_gate",
  "mlp.up_proj": "ffn_up",
  "mlp.down_proj": "ffn_down",
};
const router = (count: number) => ({ expert_count: u32(count), expert_used_count: u32(2) });

const layouts: readonly Layout[] = [
  {
    architecture: "llama",
    changes: changesOf("mixtral"),
    hasPairs: true,
    names: {
      ...llamaNames,
      "block_sparse_moe.gate": "ffn_gate_inp",
      "block_sparse_moe.experts.w1": "ffn_gate_exps",
      "block_sparse_moe.experts.w2": "ffn_down_exps",
      "block_sparse_moe.experts.w3": "ffn_up_exps",
    },
    metadata: router(3),
  },
  {
    architecture: "qwen3moe",
    changes: {
      ...changesOf("qwen3_moe"),
      experts: { count: 4, perToken: 2, intermediateSize: 10, isNormalized: true, denseLayers: [] },
    },
    names: {
      ...llamaNames,
      "mlp.gate": "ffn_gate_inp",
      "mlp.experts.gate_proj": "ffn_gate_exps",
      "mlp.experts.up_proj": "ffn_up_exps",
      "mlp.experts.down_proj": "ffn_down_exps",
    },
    metadata: { ...router(4), expert_feed_forward_length: u32(10) },
  },
  {
    architecture: "mistral3",
    changes: { ...changesOf("ministral3"), queryGrowth: { beta: 0.25, originalContext: 2 } },
    hasPairs: true,
    names: llamaNames,
    metadata: {
      "attention.temperature_scale": f32(0.25),
      "rope.scaling.original_context_length": u32(2),
    },
  },
  {
    architecture: "mistral3",
    changes: { modelType: "mistral", slidingWindow: 5 },
    hasPairs: true,
    names: llamaNames,
    metadata: { "attention.sliding_window": u32(5) },
  },
  {
    architecture: "gpt2",
    changes: changesOf("gpt2"),
    isTurned: true,
    names: {
      "transformer.wte": "token_embd",
      "transformer.wpe": "position_embd",
      "transformer.ln_f": "output_norm",
      ln_1: "attn_norm",
      "attn.c_attn": "attn_qkv",
      "attn.c_proj": "attn_output",
      ln_2: "ffn_norm",
      "mlp.c_fc": "ffn_up",
      "mlp.c_proj": "ffn_down",
    },
    metadata: { "attention.layer_norm_epsilon": f32(1e-5) },
  },
];

/** The tensors of a folder as llama.cpp's converter lays them out. */
function tensorsOf(
  folder: string,
  { names, hasPairs, isTurned }: Layout,
  config: ModelConfig,
): Record<string, WrittenTensor> {
  const file = new Uint8Array(readFileSync(join(folder, "model.safetensors")));
  const stacks = new Map<string, Tensor[]>();
  for (const [name, tensor] of parseSafetensors(file, folder).tensors) {
    const [, layer, inner = name.replace(/\.\w+$/, "")] =
      /^(?:model\.layers|transformer\.h)\.(\d+)\.(.+)\.\w+$/.exec(name) ?? [];
    const own = names[inner.replace(/\.experts\.\d+\./, ".experts.")];
    const stored = `${layer === undefined ? "" : `blk.${layer}.`}${own}.${name.split(".").at(-1)}`;
    const isMap = layer !== undefined && tensor.shape.length === 2;
    const count = /[.]q_proj/.test(name) ? config.heads : /[.]k_proj/.test(name) ? config.kvHeads : undefined;
    const bytes = hasPairs && count !== undefined ? inPairs(tensor, count) : tensor.bytes;
    const laid = isTurned && isMap ? turned(tensor) : { ...tensor, bytes };
    stacks.set(stored, [...(stacks.get(stored) ?? []), laid]);
  }
  const whole = (parts: readonly Tensor[]): WrittenTensor => {
    const shape = parts[0]?.shape ?? [];
    const all = parts.map(({ bytes }) => bytes);
    return { type: F32, shape: all.length === 1 ? shape : [all.length, ...shape], bytes: Buffer.concat(all) };
  };
  return Object.fromEntries([...stacks].map(([name, parts]) => [name, whole(parts)]));
}

/** @param change is done to the file's tensors. */
function write(
  name: string,
  layout: Layout,
  change: (tensors: Record<string, WrittenTensor>) => void = () => {},
): { readonly path: string; readonly folder: string } {
  const config = tinyConfig(layout.changes);
  const folder = join(scratch, name);
  mkdirSync(folder);
  writeTinyModel(folder, config, tinyImage(config));
  const { architecture } = layout;
  const width = u32(config.headDim);
  const ofHeads = {
    "attention.head_count_kv": u32(config.kvHeads),
    "attention.key_length": width,
    "attention.value_length": width,
    "attention.layer_norm_rms_epsilon": f32(config.normEps),
    "rope.dimension_count": width,
  };
  const sizes = {
    block_count: u32(config.layers),
    context_length: u32(config.contextLength),
    embedding_length: u32(config.hiddenSize),
    feed_forward_length: u32(config.intermediateSize),
    "attention.head_count": u32(config.heads),
    ...(architecture !== "gpt2" && ofHeads),
    ...layout.metadata,
  };
  const metadata: Record<string, WrittenValue> = {
    "general.architecture": ["string", architecture],
    ...Object.fromEntries(Object.entries(sizes).map(([key, value]) => [`${architecture}.${key}`, value])),
    "tokenizer.ggml.bos_token_id": u32(1),
    "tokenizer.ggml.eos_token_id": u32(2),
  };
  const path = join(scratch, `${name}.gguf`);
  const tensors = tensorsOf(folder, layout, config);
  change(tensors);
  writeFileSync(path, writeGguf({ metadata, tensors }));
  return { path, folder };
}

test.each(layouts.map((layout, i) => [`${layout.architecture}, a ${layout.changes.modelType}`, i, layout] as const))(
  "%s: config and weights of the folder [M-gguf-architectures]",
  async (_, i, layout) => {
    const { path, folder } = write(`layout-${i}`, layout);
    const warnings: string[] = [];
    const options = { onWarning: (warning: string) => warnings.push(warning), strictTensors: true };
    const [read, expected] = [await readModelConfig(path, options), await readModelConfig(folder)];
    expect(warnings).toEqual([]);
    expect(read).toEqual(expected);
    const as = { weightDtypes: ["f32"] } as const;
    expect(await loadWeights(path, read, as)).toEqual(await loadWeights(folder, expected, as));
  },
);

describe("blocks of Q4_0 that another quantiser chose", () => {
  const layout: Layout = {
    architecture: "llama",
    changes: { hiddenSize: 64, intermediateSize: 32, layers: 1, heads: 2, kvHeads: 1, headDim: 16 },
    hasPairs: true,
    names: llamaNames,
    metadata: {},
  };
  /** Scales and codes by chance, of which none is 0: ours would give that one to the largest number of each block. */
  const blocks = (rows: number, columns: number, seed: number) =>
    Uint8Array.from({ length: (rows * columns * 18) / 32 }, (_, i) => {
      if (i % 18 === 1) return 0x1c + ((i + seed) % 7);
      const chance = Math.imul(i + 1, 0x9e3779b1 + 2 * seed) >>> 11;
      return 3 + (chance % 10) + ((3 + ((chance >> 8) % 10)) << 4);
    });
  const writeBlocks = (name: string, change: (bytes: Uint8Array, tensor: string) => void = () => {}) =>
    write(name, layout, (tensors) => {
      const maps = Object.entries(tensors).filter(([tensor]) => /^blk\.0\.(?:attn|ffn)_(?!norm)/.test(tensor));
      for (const [seed, [tensor, { shape }]] of maps.entries()) {
        const bytes = blocks(shape[0] ?? 0, shape[1] ?? 0, seed);
        change(bytes, tensor);
        tensors[tensor] = { type: Q4_0, shape, bytes };
      }
    }).path;
  const load = async (path: string) =>
    await loadWeights(path, await readModelConfig(path), { weightDtypes: ["f32", "i4"], storage: "int4" });

  test("stay as they are in int4, rows of queries and keys in transformers' order [M-gguf-q4_0, M-int4]", async () => {
    let stored: Uint8Array = new Uint8Array();
    const path = writeBlocks("kept", (bytes, tensor) => {
      if (tensor.includes("ffn_down")) stored = bytes;
    });
    const plain = await loadWeights(path, await readModelConfig(path), { weightDtypes: ["f32"] });
    const image = await load(path);
    for (const map of ["qkv", "o", "gateUp", "down"]) {
      const [kept, numbers] = [weightOf(image, `layers.0.${map}`), weightOf(plain, `layers.0.${map}`)];
      if (!kept || !numbers) throw new Error(`there is no ${map}`);
      const values = new Float32Array(numbers.bytes.slice().buffer);
      expect(dequantize("i4", kept.bytes, kept.shape), map).toEqual(values);
      const again = quantize("i4", values, kept.shape, map);
      expect(again.filter((byte, i) => byte !== kept.bytes[i]).length, map).toBeGreaterThan(100);
    }
    expect(weightOf(image, "layers.0.down")?.bytes).toEqual(stored);
  });

  test("are refused if a scale is not finite", async () => {
    const path = writeBlocks("endless", (bytes, tensor) => {
      if (tensor.includes("ffn_down")) bytes[19] = 0x7c;
    });
    expect(await problemsOf(load(path))).toEqual(["it has a number that is not finite: use --storage as-is"]);
  });
});
