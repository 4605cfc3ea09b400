/** Folders that tools packed: the base is to the bit one that holds the numbers which the tool itself unpacks. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { problemsOf } from "../../test/folder_tensors.ts";
import * as pack from "../../test/packed_maps.ts";
import type { DType } from "../engine/engine.ts";
import { serializeSafetensors, type Tensor } from "../formats/safetensors.ts";
import { parseModelConfig } from "../model/hf_config.ts";
import { weightSources } from "../model/hf_names.ts";
import { readModelConfig } from "./model_config.ts";
import { linearMapDtypes, loadWeights } from "./model_files.ts";

const json = {
  model_type: "llama",
  vocab_size: 24,
  hidden_size: 64,
  intermediate_size: 96,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  rms_norm_eps: 1e-5,
};
const weightDtypes = ["f32", "bf16", "f16"] as const;

const scratch = mkdtempSync(join(tmpdir(), "zerogate-packed-"));
afterAll(() => rmSync(scratch, { recursive: true }));
let count = 0;
let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(scratch, `${count++}-`));
});

type Pack = (size: pack.Size) => pack.PackedMap;

/** All tensors of the model, the linear maps packed, and the same unpacked. */
function tensorsOf(
  packMap: Pack,
  isPacked = /proj\.weight$/,
): { packed: Map<string, Tensor>; plain: Map<string, Tensor> } {
  let state = 12_345;
  const random = (below: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const [packed, plain] = [new Map<string, Tensor>(), new Map<string, Tensor>()];
  for (const { hfName, shape } of weightSources(parseModelConfig(json, "c")).flatMap(({ parts }) => parts)) {
    const [rows = 1, columns = 1] = shape;
    if (isPacked.test(hfName)) {
      const { tensors, numbers, dtype } = packMap({ rows, columns, random });
      for (const [name, tensor] of Object.entries(tensors))
        packed.set(`${hfName.slice(0, -"weight".length)}${name}`, tensor);
      plain.set(hfName, pack.floats(numbers, [...shape], dtype));
      continue;
    }
    const values = Float32Array.from({ length: rows * columns }, (_, i) => Math.sin(i) / 2);
    for (const tensors of [packed, plain]) tensors.set(hfName, pack.floats(values, [...shape], "bf16"));
  }
  return { packed, plain };
}

function write(name: string, tensors: ReadonlyMap<string, Tensor>, config: object): string {
  const path = mkdtempSync(join(folder, name));
  writeFileSync(join(path, "config.json"), JSON.stringify({ ...json, ...config }));
  writeFileSync(join(path, "model.safetensors"), serializeSafetensors(tensors));
  return path;
}

const config = (quant_method: string, settings: object, torch_dtype = "bfloat16") => ({
  torch_dtype,
  quantization_config: { quant_method, ...settings },
});
const compressed = (format: string, weights: object) =>
  config("compressed-tensors", {
    format,
    quantization_status: "compressed",
    ignore: ["lm_head"],
    config_groups: { group_0: { targets: ["Linear"], weights } },
  });

const gptqConfig = (bits: number, group_size: number, more: object = {}) =>
  config("gptq", { bits, group_size, desc_act: false, sym: true, damp_percent: 0.1, ...more }, "float16");
const awqConfig = config(
  "awq",
  { bits: 4, group_size: 32, version: "gemm", zero_point: true, modules_to_not_convert: null },
  "float16",
);
const bnbConfig = (more: object) =>
  config("bitsandbytes", { load_in_4bit: true, llm_int8_threshold: 6, llm_int8_skip_modules: null, ...more });
const int4 = { num_bits: 4, type: "int", strategy: "group", group_size: 32, symmetric: true };

const cases: [title: string, packMap: Pack, config: object, packed?: RegExp][] = [
  ["GPTQ 4 bits, zero points less one [M-gptq]", (s) => pack.gptq(s, 4, 32, 1), gptqConfig(4, 32)],
  [
    "GPTQ 4 bits in the order of activations [M-gptq]",
    (s) => pack.gptq(s, 4, 16, 1, true),
    gptqConfig(4, 16, { desc_act: true }),
  ],
  [
    "GPTQ 4 bits, version 2 [M-gptq]",
    (s) => pack.gptq(s, 4, 32, 2),
    gptqConfig(4, 32, { checkpoint_format: "gptq_v2" }),
  ],
  ["GPTQ 8 bits, one group [M-gptq]", (s) => pack.gptq(s, 8, 1024, 1), gptqConfig(8, -1)],
  ["GPTQ 2 bits [M-gptq]", (s) => pack.gptq(s, 2, 32, 2), gptqConfig(2, 32, { checkpoint_format: "gptq_v2" })],
  ["AWQ, gemm [M-awq]", (s) => pack.awq(s, 32), awqConfig],
  [
    "bitsandbytes nf4 [M-bnb-nf4]",
    (s) => pack.bnb4(s, "nf4", false, "bf16"),
    bnbConfig({ bnb_4bit_quant_type: "nf4" }),
  ],
  [
    "bitsandbytes nf4, scales quantised too [M-bnb-nf4]",
    (s) => pack.bnb4(s, "nf4", true, "bf16"),
    bnbConfig({ bnb_4bit_quant_type: "nf4", bnb_4bit_use_double_quant: true, bnb_4bit_quant_storage: "uint8" }),
  ],
  ["bitsandbytes fp4 [M-bnb-fp4]", (s) => pack.bnb4(s, "fp4", false, "f16"), bnbConfig({ bnb_4bit_quant_type: "fp4" })],
  [
    "bitsandbytes fp4, scales quantised too [M-bnb-fp4]",
    (s) => pack.bnb4(s, "fp4", true, "f32"),
    bnbConfig({ bnb_4bit_quant_type: "fp4" }),
  ],
  ["bitsandbytes 8 bits [M-bnb-int8]", (s) => pack.bnb8(s, "bf16"), config("bitsandbytes", { load_in_8bit: true })],
  [
    "bitsandbytes 8 bits of a float32 model [M-bnb-int8]",
    (s) => pack.bnb8(s, "f32"),
    config("bitsandbytes", { load_in_8bit: true }, "float32"),
  ],
  [
    "FP8 by block [M-fp8]",
    (s) => pack.fp8(s, [s.rows / 16, s.columns / 32], "f32", "bf16"),
    config("fp8", { fmt: "e4m3", activation_scheme: "dynamic", weight_block_size: [16, 32] }),
  ],
  [
    "FP8 by block, exponents [M-fp8]",
    (s) => pack.fp8(s, [s.rows / 16, s.columns / 32], "U8", "bf16"),
    config("fp8", { scale_fmt: "ue8m0", weight_block_size: [16, 32] }),
  ],
  ["FP8 by row [M-fp8]", (s) => pack.fp8(s, [s.rows, 1], "bf16", "f32"), config("fp8", {}, "float32")],
  ["FP8, one scale [M-fp8]", (s) => pack.fp8(s, [1, 1], "F8_E8M0", "bf16", []), config("fp8", {})],
  [
    "compressed-tensors, packed int4 [M-compressed-tensors]",
    (s) => pack.compressedPack(s, 4, 32),
    compressed("pack-quantized", int4),
  ],
  [
    "compressed-tensors, packed int4 with zero points [M-compressed-tensors]",
    (s) => pack.compressedPack(s, 4, 32, { asymmetric: true, dtype: "f16" }),
    compressed("pack-quantized", { ...int4, symmetric: false }),
  ],
  [
    "compressed-tensors, packed int4 in the order of activations [M-compressed-tensors]",
    (s) => pack.compressedPack(s, 4, 16, { asymmetric: true, shuffled: true }),
    compressed("pack-quantized", { ...int4, actorder: "group" }),
  ],
  [
    "compressed-tensors, packed int8 by row [M-compressed-tensors]",
    (s) => pack.compressedPack(s, 8, s.columns, { dtype: "f32" }),
    compressed("pack-quantized", { num_bits: 8, type: "int" }),
  ],
  [
    "compressed-tensors, int8 by row [M-compressed-tensors]",
    (s) => pack.compressedBytes(s, "int", [s.rows, 1]),
    compressed("int-quantized", { num_bits: 8, type: "int" }),
  ],
  [
    "compressed-tensors, int8 with zero points [M-compressed-tensors]",
    (s) => pack.compressedBytes(s, "int", [s.rows, 1], { asymmetric: true }),
    compressed("int-quantized", { num_bits: 8, type: "int" }),
  ],
  [
    "compressed-tensors, FP8 by row [M-compressed-tensors]",
    (s) => pack.compressedBytes(s, "float", [s.rows, 1]),
    compressed("float-quantized", { num_bits: 8, type: "float" }),
  ],
  [
    "compressed-tensors, FP8 with one scale [M-compressed-tensors]",
    (s) => pack.compressedBytes(s, "float", [1, 1], { shape: [1] }),
    compressed("float-quantized", { num_bits: 8, type: "float" }),
  ],
  [
    "compressed-tensors, FP8 by block [M-compressed-tensors]",
    (s) => pack.compressedBytes(s, "float", [s.rows / 16, s.columns / 32]),
    compressed("naive-quantized", { num_bits: 8, type: "float" }),
  ],
  [
    "MLX 4 bits, the embedding too [M-mlx]",
    (s) => pack.mlx(s, 4, 32, "f16"),
    { quantization: { group_size: 32, bits: 4 }, quantization_config: { group_size: 32, bits: 4 } },
    /(?:proj|embed_tokens|lm_head)\.weight$/,
  ],
  [
    "MLX 8 bits in bf16 [M-mlx]",
    (s) => pack.mlx(s, 8, 32, "bf16"),
    { quantization: { group_size: 32, bits: 8, mode: "affine" } },
  ],
  ["MLX 2 bits in float32 [M-mlx]", (s) => pack.mlx(s, 2, 32, "f32"), { quantization: { group_size: 32, bits: 2 } }],
];

describe.each(cases)("%s", (_, packMap, settings, isPacked) => {
  test("has the numbers that its tool unpacks, to the bit", async () => {
    const { packed, plain } = tensorsOf(packMap, isPacked);
    const [ours, theirs] = [write("packed", packed, settings), write("plain", plain, {})];
    const warnings: string[] = [];
    const model = await readModelConfig(ours, { onWarning: (warning) => warnings.push(warning), strictTensors: true });
    expect(warnings).toEqual([]);
    expect(model).toEqual(await readModelConfig(theirs));
    const [found, wanted] = [
      await loadWeights(ours, model, { weightDtypes }),
      await loadWeights(theirs, model, { weightDtypes }),
    ];
    expect(found.places).toEqual(wanted.places);
    expect(Buffer.compare(new Uint8Array(found.bytes), new Uint8Array(wanted.bytes))).toBe(0);
    expect(await linearMapDtypes(ours, model)).toEqual(await linearMapDtypes(theirs, model));
  });
});

test("int8 quantises what a packed map stands for", async () => {
  const { packed, plain } = tensorsOf((s) => pack.gptq(s, 4, 32, 1));
  const [ours, theirs] = [write("packed", packed, gptqConfig(4, 32)), write("plain", plain, {})];
  const model = await readModelConfig(ours);
  const options = { weightDtypes: ["f32", "bf16", "f16", "i8"], storage: "int8" } as const;
  expect((await loadWeights(ours, model, options)).bytes).toEqual((await loadWeights(theirs, model, options)).bytes);
});

const refused: [title: string, settings: object, problems: string[]][] = [
  [
    "another method",
    config("hqq", {}),
    ['quantization_config.quant_method is "hqq", read are bitsandbytes, gptq, awq, fp8, compressed-tensors and MLX'],
  ],
  ["no method", { quantization_config: { bits: 4 } }, ["quantization_config.quant_method is missing, read are"]],
  [
    "keys that are not known",
    gptqConfig(4, 32, { hadamard: true }),
    ["quantization_config.hadamard is true, which is not read and may change what weights are"],
  ],
  ["3 bits", gptqConfig(3, 32), ["quantization_config.bits is 3, read is 2, 4, 8"]],
  ["widths by map", gptqConfig(4, 32, { dynamic: { "+:.*": { bits: 8 } } }), ["quantization_config.dynamic is {"]],
  [
    "Marlin's layout",
    gptqConfig(4, 32, { checkpoint_format: "marlin" }),
    ['quantization_config.checkpoint_format is "marlin", read is "gptq", "gptq_v2"'],
  ],
  [
    "no group",
    config("gptq", { bits: 4 }),
    ["quantization_config.group_size is missing, needed is a whole number from 1 on"],
  ],
  [
    "gemv of AWQ",
    config("awq", { bits: 4, group_size: 32, version: "gemv" }),
    ['quantization_config.version is "gemv", read is "gemm", "GEMM"'],
  ],
  [
    "codes in floats",
    bnbConfig({ bnb_4bit_quant_storage: "bfloat16" }),
    ['quantization_config.bnb_4bit_quant_storage is "bfloat16", read is "uint8"'],
  ],
  ["e5m2", config("fp8", { fmt: "e5m2" }), ['quantization_config.fmt is "e5m2", read is "e4m3"']],
  [
    "blocks of one size",
    config("fp8", { weight_block_size: [128] }),
    ["quantization_config.weight_block_size is [128], needed are two sizes"],
  ],
  [
    "4-bit floats",
    compressed("nvfp4-pack-quantized", { num_bits: 4, type: "float" }),
    [
      'quantization_config.format is "nvfp4-pack-quantized", read is',
      'quantization_config.config_groups.group_0.weights are "float" of 4 bits, read are "int" of 4 and 8, "float" of 8',
    ],
  ],
  [
    "sparse weights",
    config("compressed-tensors", { sparsity_config: { format: "sparse-24-bitmask" } }),
    ['quantization_config.sparsity_config.format is "sparse-24-bitmask"'],
  ],
  [
    "turned weights",
    config("compressed-tensors", { transform_config: { R1: {} } }),
    ["quantization_config.transform_config is {"],
  ],
  [
    "mxfp4 of MLX",
    { quantization: { group_size: 32, bits: 4, mode: "mxfp4" } },
    ['quantization.mode is "mxfp4", read is "affine"'],
  ],
  [
    "widths by map of MLX",
    { quantization: { group_size: 32, bits: 4, "model.layers.0": { bits: 8 } } },
    ["quantization.model.layers.0 is {"],
  ],
  [
    "6 bits of MLX",
    { quantization: { group_size: 32, bits: 6 } },
    ["quantization has 6 bits in groups of 32, read are 2, 4 and 8 bits"],
  ],
];

test.each(refused)("%s is refused by name", async (_, settings, problems) => {
  const { plain } = tensorsOf((s) => pack.gptq(s, 4, 32, 1));
  const path = write("refused", plain, settings);
  const found = await problemsOf(readModelConfig(path));
  expect(found.map((problem, i) => problem.slice(0, problems[i]?.length))).toEqual(problems);
  const model = parseModelConfig(json, "c");
  expect(await problemsOf(loadWeights(path, model, { weightDtypes }))).toEqual(found);
});

type Change = (tensors: Map<string, Tensor>) => void;
const path = "model.layers.0.mlp.up_proj";
const replace =
  (name: string, change: (tensor: Tensor) => Tensor): Change =>
  (tensors) =>
    tensors.set(`${path}.${name}`, change(tensors.get(`${path}.${name}`)!));
const cut: Change = (tensors) => tensors.delete(`${path}.scales`);
const broken: [title: string, packMap: Pack, config: object, change: Change, problem: string][] = [
  [
    "scales that are missing",
    (s) => pack.gptq(s, 4, 32, 1),
    gptqConfig(4, 32),
    cut,
    `${path} is not as GPTQ 4 bits packs it: scales is missing`,
  ],
  [
    "zero points of another shape",
    (s) => pack.gptq(s, 4, 32, 1),
    gptqConfig(4, 16),
    () => {},
    "qzeros is I32 [2, 8], needed is I32 [4, 8]",
  ],
  [
    "codes of another dtype",
    (s) => pack.awq(s, 32),
    awqConfig,
    replace("qweight", (t) => ({ ...t, dtype: "F32" })),
    "qweight is F32 [64, 12], needed is I32 [64, 12]",
  ],
  [
    "scales in float64",
    (s) => pack.mlx(s, 4, 32, "f32"),
    { quantization: { group_size: 32, bits: 4 } },
    replace("scales", (t) => ({ dtype: "F64", shape: [96, 1], bytes: new Uint8Array(8 * 96 + 0 * t.bytes.length) })),
    "scales is F64 [96, 1], needed is F16 or BF16 or F32 [96, 2]",
  ],
  [
    "a state that is no JSON",
    (s) => pack.bnb4(s, "nf4", false, "bf16"),
    bnbConfig({}),
    replace("weight.quant_state.bitsandbytes__nf4", (t) => ({ ...t, bytes: t.bytes.map(() => 123) })),
    "its quant_state is not JSON",
  ],
  [
    "a scale for no whole blocks",
    (s) => pack.fp8(s, [s.rows / 16, 2], "f32", "bf16"),
    config("fp8", { weight_block_size: [32, 32] }),
    () => {},
    "which divides [64, 64] in no whole blocks of 32 · 32",
  ],
  [
    "another order of rows",
    (s) => pack.bnb8(s, "bf16"),
    config("bitsandbytes", { load_in_8bit: true }),
    replace("weight_format", (t) => ({ ...t, bytes: Uint8Array.of(1) })),
    "weight_format is 1, needed is 0",
  ],
  [
    "a shape that is not that of the codes",
    (s) => pack.compressedPack(s, 4, 32),
    compressed("pack-quantized", int4),
    replace("weight_shape", (t) => ({ ...t, bytes: new Uint8Array(BigInt64Array.of(96n, 60n).buffer) })),
    "weight_packed is [96, 8] and weight_shape [96, 60], read are 4 and 8 bits",
  ],
];

test.each(broken)("%s: refused before anything is read", async (_, packMap, settings, change, problem) => {
  const { packed } = tensorsOf(packMap);
  change(packed);
  expect((await problemsOf(readModelConfig(write("broken", packed, settings)))).join("\n")).toContain(problem);
});

test("zero points that tools read in different ways, and groups that are not there, are refused while loading", async () => {
  const change = (name: string, word: number, settings: object, shuffled: boolean) => {
    const { packed } = tensorsOf((s) => pack.gptq(s, 4, 32, 1, shuffled));
    const tensor = packed.get(`${path}.${name}`)!;
    new Int32Array(tensor.bytes.buffer)[0] = word;
    return write("odd", packed, settings);
  };
  const load = async (at: string) => {
    return (await problemsOf(loadWeights(at, await readModelConfig(at), { weightDtypes }))).join();
  };
  const packer = `${path} is not as GPTQ 4 bits packs it`;
  expect(await load(change("qzeros", 0xf, gptqConfig(4, 32), false))).toBe(
    `${packer}: qzeros holds 15, which tools read in different ways: use a file of the layout gptq_v2`,
  );
  expect(await load(change("g_idx", 2, gptqConfig(4, 32), true))).toBe(
    `${packer}: g_idx names a group beyond the 2 there are`,
  );
});

test("scales without their codes are refused, and what tools keep of activations is passed over", async () => {
  const { packed } = tensorsOf((s) => pack.compressedBytes(s, "float", [s.rows, 1]));
  packed.set(`${path}.input_scale`, pack.floats(Float32Array.of(1), [1], "f32"));
  const settings = compressed("float-quantized", { num_bits: 8, type: "float" });
  await readModelConfig(write("static", packed, settings), { strictTensors: true });
  packed.delete(`${path}.weight`);
  expect(await problemsOf(readModelConfig(write("bare", packed, settings)))).toEqual([
    `${path}.weight_scale belongs to a packed map that is not there: fetch the model again`,
  ]);
});

test("what is rounded is what the dtype rounds", () => {
  const dtypes: DType[] = ["f32", "bf16", "f16"];
  expect(dtypes.map((dtype) => pack.rounded(Float32Array.of(1 / 3), dtype)[0])).toEqual([
    Math.fround(1 / 3),
    0.333984375,
    0.333251953125,
  ]);
});
