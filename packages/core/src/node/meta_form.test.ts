/** Bases as Meta gave them out: the numbers of the same model in transformers' form, from one file or cut over several. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { problemsOf, tensorsOf } from "../../test/folder_tensors.ts";
import { serializeSafetensors, type Tensor } from "../formats/safetensors.ts";
import { serializeTorchFile } from "../formats/torch_file.ts";
import { parseModelConfig } from "../model/hf_config.ts";
import { pairedRows } from "../model/paired_rows.ts";
import type { WeightImage } from "../model/weights.ts";
import { baseHash } from "./base_identity.ts";
import { readModelConfig } from "./model_config.ts";
import { loadWeights } from "./model_files.ts";

const params = { dim: 24, n_layers: 2, n_heads: 4, n_kv_heads: 2, vocab_size: -1, multiple_of: 8, norm_eps: 1e-5 };
const json = {
  model_type: "llama",
  vocab_size: 10,
  hidden_size: 24,
  intermediate_size: 16,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 4_096,
  rms_norm_eps: 1e-5,
};
const config = parseModelConfig(json, "config.json");
const tensors = tensorsOf(config, () => "bf16");

const metaNames: readonly (readonly [ours: RegExp, theirs: string, cut: 0 | 1 | undefined])[] = [
  [/^model\.embed_tokens/, "tok_embeddings", 1],
  [/^lm_head/, "output", 0],
  [/^model\.norm/, "norm", undefined],
  [/^model\.layers\.(\d+)\.input_layernorm/, "layers.$1.attention_norm", undefined],
  [/^model\.layers\.(\d+)\.post_attention_layernorm/, "layers.$1.ffn_norm", undefined],
  [/^model\.layers\.(\d+)\.self_attn\.([qkv])_proj/, "layers.$1.attention.w$2", 0],
  [/^model\.layers\.(\d+)\.self_attn\.o_proj/, "layers.$1.attention.wo", 1],
  [/^model\.layers\.(\d+)\.mlp\.gate_proj/, "layers.$1.feed_forward.w1", 0],
  [/^model\.layers\.(\d+)\.mlp\.up_proj/, "layers.$1.feed_forward.w3", 0],
  [/^model\.layers\.(\d+)\.mlp\.down_proj/, "layers.$1.feed_forward.w2", 1],
];

/** `view(heads, 2, d / 2, in).transpose(1, 2)`, which undoes what transformers' converter does to the rows of queries and keys. */
function neighbouring({ dtype, shape: [rows = 0, columns = 0], bytes }: Tensor, headDim = 6): Tensor {
  const width = 2 * columns;
  const out = new Uint8Array(bytes.length);
  for (let row = 0, to = 0; row < rows; row += headDim) {
    for (let j = 0; j < headDim / 2; j++) {
      for (const half of [0, 1]) {
        const from = (row + half * (headDim / 2) + j) * width;
        out.set(bytes.subarray(from, from + width), to++ * width);
      }
    }
  }
  return { dtype, shape: [rows, columns], bytes: out };
}

/** Part `i` of `n` of a matrix of 16-bit numbers. */
function part({ dtype, shape: [rows = 0, columns = 0], bytes }: Tensor, cut: 0 | 1, i: number, n: number): Tensor {
  if (cut === 0) {
    const length = bytes.length / n;
    return { dtype, shape: [rows / n, columns], bytes: bytes.slice(i * length, (i + 1) * length) };
  }
  const width = (2 * columns) / n;
  const out = new Uint8Array(bytes.length / n);
  for (let row = 0; row < rows; row++) {
    const from = row * 2 * columns + i * width;
    out.set(bytes.subarray(from, from + width), row * width);
  }
  return { dtype, shape: [rows, columns / n], bytes: out };
}

/** Files by name; Llama 3 cuts the embedding by rows. */
function metaFiles(n: number, embeddingCut: 0 | 1 = 1, of = tensors, headDim = 6): Record<string, Map<string, Tensor>> {
  const files = Array.from({ length: n }, () => new Map<string, Tensor>());
  for (const [name, tensor] of of) {
    const [ours, theirs, cut] = metaNames.find(([pattern]) => pattern.test(name)) ?? [/$/, "", undefined];
    const metaName = name.replace(ours, theirs);
    const stored = /attention\.w[qk]/.test(metaName) ? neighbouring(tensor, headDim) : tensor;
    const own = metaName.startsWith("tok_embeddings") ? embeddingCut : cut;
    for (const [i, file] of files.entries()) file.set(metaName, own === undefined ? stored : part(stored, own, i, n));
  }
  const freqs: Tensor = { dtype: "F32", shape: [3], bytes: new Uint8Array(12) };
  files[0]?.set("rope.freqs", freqs);
  return Object.fromEntries(files.map((file, i) => [`consolidated.0${i}.pth`, file]));
}

function folderOf(files: Readonly<Record<string, Map<string, Tensor>>>, own: object = params): string {
  const folder = mkdtempSync(join(tmpdir(), "zerogate-meta-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "params.json"), JSON.stringify(own));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), serializeTorchFile(content));
  return folder;
}

const contentOf = ({ bytes, places }: WeightImage) => ({ bytes: new Uint8Array(bytes), places });
async function load(folder: string, storage: "as-is" | "int8" = "as-is") {
  const model = await readModelConfig(folder);
  return contentOf(await loadWeights(folder, model, { weightDtypes: ["f32", "bf16", "i8"], storage }));
}

function plainFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "zerogate-meta-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "config.json"), JSON.stringify(json));
  writeFileSync(join(folder, "model.safetensors"), serializeSafetensors(tensors));
  return folder;
}

describe("the same model", () => {
  test("has the config and the numbers of transformers' folder, from one file or two [M-pth-meta]", async () => {
    const plain = plainFolder();
    const warnings: string[] = [];
    for (const files of [metaFiles(1), metaFiles(2), metaFiles(2, 0)]) {
      const folder = folderOf(files);
      expect(await readModelConfig(folder, { onWarning: (warning) => warnings.push(warning) })).toEqual(config);
      for (const storage of ["as-is", "int8"] as const)
        expect(await load(folder, storage)).toEqual(await load(plain, storage));
    }
    expect(warnings).toEqual([]);
  });

  test("is left in its only file as far as it lies there as it is needed, and copied from several [M-pth-meta]", async () => {
    const wide = { ...json, vocab_size: 600, hidden_size: 64, intermediate_size: 96, rms_norm_eps: 1e-5 };
    const model = parseModelConfig(wide, "config.json");
    const stored = tensorsOf(model, () => "bf16");
    const own = { ...params, dim: 64 };
    for (const n of [1, 2]) {
      const folder = folderOf(metaFiles(n, 1, stored, 16), own);
      const [mapped, copied] = [
        await loadWeights(folder, model, { weightDtypes: ["bf16"], mapFiles: true }),
        await loadWeights(folder, model, { weightDtypes: ["bf16"] }),
      ];
      const { path, offset, byteLength } = mapped.places["embed"] ?? { offset: 0, byteLength: 0 };
      expect(path).toBe(n === 1 ? join(folder, "consolidated.00.pth") : undefined);
      const bytes = path === undefined ? Buffer.from(mapped.bytes) : readFileSync(path);
      const at = copied.places["embed"]?.offset ?? 0;
      const same = new Uint8Array(copied.bytes, at, byteLength);
      expect(bytes.subarray(offset, offset + byteLength).equals(same)).toBe(true);
      expect(byteLength).toBeGreaterThan(65_536);
    }
  });

  test("is known by params.json and all its files [M-pth-meta]", async () => {
    const [one, again, other] = [
      folderOf(metaFiles(2)),
      folderOf(metaFiles(2)),
      folderOf(metaFiles(2), { ...params, norm_eps: 1e-6 }),
    ];
    expect(await baseHash(one)).toBe(await baseHash(again));
    expect(await baseHash(other)).not.toBe(await baseHash(one));
  });

  test("in a folder with a config.json is transformers'", async () => {
    const folder = folderOf(metaFiles(1));
    writeFileSync(join(folder, "config.json"), JSON.stringify(json));
    expect(await problemsOf(load(folder))).toEqual([
      "consolidated.00.pth is read with Meta's params.json beside it and no config.json, or convert it to model.safetensors",
    ]);
  });
});

test("neighbours that rotate as pairs are the halves of a head that do", () => {
  const headDim = 6;
  const head = Float64Array.from({ length: headDim }, (_, i) => Math.sin(1 + i));
  const halves = new Float64Array(headDim);
  const to = pairedRows(headDim);
  for (const [i, value] of head.entries()) halves[to(i)] = value;
  for (let j = 0; j < headDim / 2; j++) {
    const [cos, sin] = [Math.cos(0.3 * (j + 1)), Math.sin(0.3 * (j + 1))];
    const [a, b] = [head[2 * j] * cos - head[2 * j + 1] * sin, head[2 * j] * sin + head[2 * j + 1] * cos];
    const [x, y] = [halves[j], halves[j + headDim / 2]];
    expect([x * cos - y * sin, y * cos + x * sin]).toEqual([a, b]);
  }
  expect(to(headDim + 1)).toBe(headDim + headDim / 2);
});

describe("params.json", () => {
  const configOf = async (own: object) => readModelConfig(folderOf(metaFiles(1), { ...params, ...own }));

  test("says what it says, and leaves the rest to the models that there are", async () => {
    expect(await configOf({ norm_eps: 1e-6 })).toMatchObject({ normEps: 1e-6, contextLength: 2_048 });
    expect(await configOf({ rope_theta: 500_000 })).toMatchObject({ ropeTheta: 500_000, contextLength: 8_192 });
    expect(await configOf({ rope_theta: 1_000_000 })).toMatchObject({ contextLength: 16_384 });
    expect(await configOf({ max_seq_len: 99 })).toMatchObject({ contextLength: 99, bosTokenId: 1, eosTokenIds: [2] });
    const scaled = await configOf({ rope_theta: 500_000, use_scaled_rope: true, rope_scaling_factor: 32 });
    expect(scaled).toMatchObject({ contextLength: 131_072, ropeScaling: { type: "llama3", factor: 32 } });
  });

  test("is refused if it lacks a size, contradicts the weights or has a key that is not read [M-pth-meta]", async () => {
    expect(await problemsOf(configOf({ dim: undefined }))).toContain("dim is missing, needed is a number above 0");
    expect(await problemsOf(configOf({ vocab_size: 9 }))).toEqual([
      "vocab_size is 9, tok_embeddings.weight has 10 rows",
    ]);
    expect(await problemsOf(configOf({ sliding_window: 4 }))).toEqual([
      '"sliding_window" is not read, and may change what it computes',
    ]);
    expect((await problemsOf(configOf({ use_scaled_rope: true }))).join()).toContain(
      "is to be said in rope_scaling_factor",
    );
    expect(await problemsOf(readModelConfig(folderOf(metaFiles(1), [])))).toEqual([
      "it is not an object, Meta's has dim, n_layers and n_heads",
    ]);
    expect(await problemsOf(configOf({ n_heads: undefined }))).toEqual([
      "n_heads is missing, n_kv_heads 2: needed are numbers of heads",
    ]);
    expect((await problemsOf(configOf({ n_heads: 5 }))).join()).toContain("rows, params.json says 5 heads");
  });
});

describe("files that do not belong together are refused [M-pth-meta]", () => {
  const without = (file: string) => {
    const files = metaFiles(2);
    delete files[file];
    return folderOf(files);
  };

  test("a shard that is missing, or lacks a tensor", async () => {
    const alone = without("consolidated.01.pth");
    expect((await problemsOf(load(alone))).join()).toContain(
      "has 12 rows, params.json says 4 heads: use all files of one model",
    );
    const gap = metaFiles(2);
    gap["consolidated.02.pth"] = gap["consolidated.01.pth"] ?? new Map();
    delete gap["consolidated.01.pth"];
    expect(await problemsOf(load(folderOf(gap)))).toEqual([
      "consolidated.01.pth is not there: fetch the missing shard",
    ]);
    const files = metaFiles(2);
    files["consolidated.01.pth"]?.delete("output.weight");
    expect(await problemsOf(load(folderOf(files)))).toEqual([
      "1 of 2 shards have output.weight: use all files of one model",
    ]);
  });

  test("a tensor that is not known, in any shard, or of other sizes", async () => {
    for (const shard of [0, 1]) {
      const files = metaFiles(2);
      files[`consolidated.0${shard}.pth`]?.set("layers.0.attention.wq.bias", {
        dtype: "F32",
        shape: [1],
        bytes: new Uint8Array(4),
      });
      expect((await problemsOf(load(folderOf(files)))).join()).toContain(
        'its tensor "layers.0.attention.wq.bias" is not read',
      );
    }
    const files = metaFiles(2);
    files["consolidated.01.pth"]?.set("norm.weight", { dtype: "F32", shape: [3], bytes: new Uint8Array(12) });
    expect((await problemsOf(load(folderOf(files)))).join()).toContain(
      "shards have norm.weight as BF16 [24] and F32 [3], which is no tensor cut in parts",
    );
  });
});
