/**
 * What a config.json says of how its linear maps are packed: `quantization_config` (transformers), `quantization` (MLX). Every key is
 * known to change nothing, or is read, or is refused; so is every method, layout and width of which the layout was not seen.
 */
import type { DType } from "../../engine/engine.ts";
import { isJsonObject, shown } from "../json_fields.ts";
import { awq } from "./awq.ts";
import { bnb4, bnb8 } from "./bnb.ts";
import { byteQuantized, packQuantized } from "./compressed.ts";
import { type BlockSize, fp8 } from "./fp8.ts";
import { gptq } from "./gptq.ts";
import { mlx } from "./mlx.ts";
import type { Packing } from "./packing.ts";

type Json = Readonly<Record<string, unknown>>;

/** Reads one method's settings; problems are gathered. */
interface Reading {
  readonly settings: Json;
  /** Dtype of the model, f32 unless it names one. */
  readonly dtype: DType;
  problem(text: string): void;
  /** Refuses a setting that is there and none of these values. */
  only(key: string, ...values: readonly unknown[]): void;
}

interface Method {
  readonly read: (reading: Reading) => Packing[];
  /** Keys that change nothing in what is stored. */
  readonly harmless: string;
  /** Keys that `read` asks for. */
  readonly known: string;
}

const methods: Readonly<Record<string, Method>> = {
  bitsandbytes: {
    known: "load_in_4bit load_in_8bit _load_in_4bit _load_in_8bit bnb_4bit_quant_type bnb_4bit_quant_storage",
    harmless:
      "bnb_4bit_compute_dtype bnb_4bit_use_double_quant llm_int8_enable_fp32_cpu_offload llm_int8_has_fp16_weight llm_int8_skip_modules llm_int8_threshold",
    read: readBnb,
  },
  gptq: {
    known: "bits group_size checkpoint_format format is_marlin_format pack_dtype dynamic",
    harmless:
      "damp_percent damp_auto_increment desc_act act_group_aware static_groups sym lm_head true_sequential dataset tokenizer model_name_or_path model_file_base_name quantizer meta model_seqlen block_name_to_quantize modules_in_block_to_quantize module_name_preceding_first_block batch_size pad_token_id use_exllama disable_exllama exllama_config max_input_length use_cuda_fp16 cache_block_outputs backend mse parallel_packing packing_backend",
    read: readGptq,
  },
  awq: {
    known: "bits w_bit group_size q_group_size version format zero_point",
    harmless:
      "modules_to_not_convert backend do_fuse fuse_max_seq_len modules_to_fuse exllama_config sym desc_act damp_percent dataset tokenizer true_sequential meta model_seqlen block_name_to_quantize module_name_preceding_first_block batch_size pad_token_id max_input_length cache_block_outputs modules_in_block_to_quantize act_group_aware",
    read: readAwq,
  },
  fp8: {
    known: "fmt weight_block_size scale_fmt",
    harmless: "activation_scheme modules_to_not_convert ignored_layers dequantize",
    read: readFp8,
  },
  "compressed-tensors": {
    known: "format config_groups sparsity_config transform_config quantization_status",
    harmless: "ignore kv_cache_scheme global_compression_ratio version run_compressed",
    read: readCompressed,
  },
};

/** How a config's maps are packed, and the config without what says so. */
export interface Quantization {
  /** Empty if nothing is packed. */
  readonly packings: readonly Packing[];
  readonly config: unknown;
  readonly problems: readonly string[];
}

/** Reads a parsed config.json. Other faults of it are for others to find. */
export function readQuantization(config: unknown): Quantization {
  if (!isJsonObject(config)) return { packings: [], config, problems: [] };
  const { quantization_config: settings, quantization: ofMlx, ...others } = config;
  const problems: string[] = [];
  const dtype = modelDType(config);
  if (isJsonObject(ofMlx) || isMlx(settings)) {
    const own = isJsonObject(ofMlx) ? ofMlx : (settings as Json);
    return { packings: readMlx(own, problems), config: others, problems };
  }
  if (!isJsonObject(settings)) return { packings: [], config, problems: [] };
  const name =
    settings["quant_method"] ?? (settings["load_in_4bit"] || settings["load_in_8bit"] ? "bitsandbytes" : undefined);
  const method = typeof name === "string" && Object.hasOwn(methods, name) ? methods[name] : undefined;
  if (method === undefined) {
    const known = Object.keys(methods).join(", ");
    const what = name === undefined ? "missing" : shown(name);
    problems.push(`quantization_config.quant_method is ${what}, read are ${known} and MLX: use the original model`);
    return { packings: [], config: others, problems };
  }
  const problem = (text: string) => void problems.push(`quantization_config.${text}`);
  const known = new Set(`quant_method ${method.known} ${method.harmless}`.split(" "));
  for (const [key, value] of Object.entries(settings)) {
    if (!known.has(key) && value !== null)
      problem(`${key} is ${shown(value)}, which is not read and may change what weights are`);
  }
  const only = (key: string, ...values: readonly unknown[]) => {
    const value = settings[key];
    if (value === undefined || value === null || values.includes(value)) return;
    const read = values.length > 0 ? `read is ${values.map(shown).join(", ")}` : "which is not read";
    problem(`${key} is ${shown(value)}, ${read}: use the original model`);
  };
  return { packings: method.read({ settings, dtype, problem, only }), config: others, problems };
}

function modelDType({ dtype, torch_dtype }: Json): DType {
  const name = dtype ?? torch_dtype;
  return name === "bfloat16" ? "bf16" : name === "float16" ? "f16" : "f32";
}

function readBnb({ settings, dtype, problem, only }: Reading): Packing[] {
  if (settings["load_in_8bit"] === true) return [bnb8(dtype)];
  if (settings["load_in_4bit"] !== true) {
    problem("load_in_4bit is missing, needed is true for it or for load_in_8bit");
    return [];
  }
  only("bnb_4bit_quant_type", "nf4", "fp4");
  only("bnb_4bit_quant_storage", "uint8");
  return [bnb4("nf4"), bnb4("fp4")];
}

/** A width of 2, 4 or 8 bits, of those that are read. */
function widthOf({ settings, problem }: Reading, keys: readonly string[], read: readonly (2 | 4 | 8)[]): 2 | 4 | 8 {
  const key = keys.find((one) => settings[one] !== undefined) ?? keys[0] ?? "bits";
  const value = settings[key];
  const found = read.find((bits) => bits === value);
  if (found !== undefined) return found;
  problem(
    `${key} is ${value === undefined ? "missing" : shown(value)}, read is ${read.join(", ")}: use the original model`,
  );
  return 4;
}

/** Inputs that share a scale; undefined: all. */
function groupOf({ settings, problem }: Reading, keys: readonly string[]): number | undefined {
  const key = keys.find((one) => settings[one] !== undefined) ?? keys[0] ?? "group_size";
  const value = settings[key];
  if (value === -1) return undefined;
  if (typeof value === "number" && Number.isInteger(value) && value > 0) return value;
  problem(
    `${key} is ${value === undefined ? "missing" : shown(value)}, needed is a whole number from 1 on, or -1 for all inputs`,
  );
  return undefined;
}

function readGptq(reading: Reading): Packing[] {
  const { settings, only } = reading;
  const key = settings["checkpoint_format"] === undefined ? "format" : "checkpoint_format";
  only(key, "gptq", "gptq_v2");
  only("is_marlin_format", false);
  only("pack_dtype", "int32");
  only("dynamic");
  const bits = widthOf(reading, ["bits"], [2, 4, 8]);
  return [gptq({ bits, groupSize: groupOf(reading, ["group_size"]), isFirstVersion: settings[key] !== "gptq_v2" })];
}

function readAwq(reading: Reading): Packing[] {
  const { only } = reading;
  only("version", "gemm", "GEMM");
  only("format", "gemm");
  only("zero_point", true);
  widthOf(reading, ["bits", "w_bit"], [4]);
  return [awq(groupOf(reading, ["group_size", "q_group_size"]))];
}

function readFp8({ settings, dtype, problem, only }: Reading): Packing[] {
  only("fmt", "e4m3");
  only("scale_fmt", "float", "ue8m0");
  const block = settings["weight_block_size"] ?? undefined;
  const isBlock =
    Array.isArray(block) && block.length === 2 && block.every((size) => Number.isInteger(size) && size > 0);
  if (block !== undefined && !isBlock) problem(`weight_block_size is ${shown(block)}, needed are two sizes`);
  return [fp8(dtype, isBlock ? (block as unknown as BlockSize) : undefined)];
}

const formats = ["pack-quantized", "int-quantized", "float-quantized", "naive-quantized", "mixed-precision"];

function readCompressed({ settings, problem, only }: Reading): Packing[] {
  only("format", ...formats);
  only("quantization_status", "compressed", "frozen");
  const { config_groups: groups = {}, sparsity_config: sparsity, transform_config: transforms } = settings;
  if (isJsonObject(sparsity) && (sparsity["format"] ?? "dense") !== "dense") {
    problem(`sparsity_config.format is ${shown(sparsity["format"])}, read is "dense": use the original model`);
  }
  if (isJsonObject(transforms) && Object.keys(transforms).length > 0) {
    problem(`transform_config is ${shown(transforms)}, which turns weights and is not read: use the original model`);
  }
  if (!isJsonObject(groups)) problem(`config_groups is ${shown(groups)}, needed is an object`);
  for (const [name, group] of Object.entries(isJsonObject(groups) ? groups : {})) {
    const weights = isJsonObject(group) ? group["weights"] : undefined;
    const own = isJsonObject(group) ? (group["format"] ?? "pack-quantized") : "pack-quantized";
    if (!formats.some((one) => one === own))
      problem(`config_groups.${name}.format is ${shown(own)}, read are ${formats.join(", ")}`);
    if (!isJsonObject(weights)) continue;
    const { num_bits: bits, type } = weights;
    const isRead = (type === "int" && (bits === 4 || bits === 8)) || (type === "float" && bits === 8);
    if (!isRead) {
      problem(
        `config_groups.${name}.weights are ${shown(type)} of ${shown(bits)} bits, read are "int" of 4 and 8, "float" of 8`,
      );
    }
  }
  return [packQuantized, byteQuantized];
}

/** MLX writes its settings twice, without a method. */
const isMlx = (settings: unknown): boolean =>
  isJsonObject(settings) && settings["quant_method"] === undefined && "group_size" in settings && "bits" in settings;

function readMlx(settings: Json, problems: string[]): Packing[] {
  const { group_size: size, bits, mode = "affine", quant_method: _, ...others } = settings;
  if (mode !== "affine") problems.push(`quantization.mode is ${shown(mode)}, read is "affine": use the original model`);
  for (const [key, value] of Object.entries(others)) {
    if (value === false) continue; // a map that is not packed, as its tensors show
    problems.push(`quantization.${key} is ${shown(value)}, which is not read: read are maps of one width and group`);
  }
  const isRead =
    (bits === 2 || bits === 4 || bits === 8) && typeof size === "number" && Number.isInteger(size) && size > 0;
  if (isRead) return [mlx(bits, size)];
  problems.push(
    `quantization has ${shown(bits)} bits in groups of ${shown(size)}, read are 2, 4 and 8 bits in even groups`,
  );
  return [];
}
