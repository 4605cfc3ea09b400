/**
 * The trained vector as tensors of an adapter file, and back. Names and shapes are PEFT's (0.8 … 0.21):
 * `base_model.model.model.layers.{i}.self_attn.adaption_prompt` [1, K, D] and `….adaption_gate` [1], i the absolute layer
 * (in a gpt2 `base_model.model.transformer.h.{i}.attn.…`).
 * PEFT ignores missing and surplus tensors without a word; here every tensor is accounted for.
 *
 * PEFT has neither per-head gates nor tanh. Such adapters store the gate as [H], or as [1, 1] where one tanh gate is
 * shared, and say so in the file's metadata: PEFT refuses the shape instead of computing something else.
 */
import type { DType } from "../engine/engine.ts";
import { InputError } from "../errors.ts";
import { narrow, widen } from "../formats/dtype.ts";
import type { Tensor, TensorDType, TensorEntry } from "../formats/safetensors.ts";
import type { AdapterLayout, AdapterShape, OutputBias } from "./layout.ts";

/** The base model class that the names are for: with a head (`LlamaForCausalLM`) or without (`LlamaModel`, `GPT2Model`). */
export type AdapterModule = "causal-lm" | "bare";

/** Every name that an adapter file holds and every name that it should hold, once. */
export interface AdapterReport {
  readonly matched: readonly string[];
  readonly missing: readonly string[];
  readonly unexpected: readonly string[];
  readonly misShaped: readonly { readonly key: string; readonly found: string; readonly needed: string }[];
}

export const fileDTypes: Readonly<Record<DType, TensorDType>> = { f32: "F32", bf16: "BF16", f16: "F16" };
export const ourDTypes: ReadonlyMap<TensorDType, DType> = new Map([
  ["F32", "f32"],
  ["BF16", "bf16"],
  ["F16", "f16"],
]);

/** One tensor of the file and where its numbers lie in the flat vector. */
interface KeyPlace {
  readonly key: string;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/** Name, shape and place of every tensor that an adapter of this layout has, in ascending layer order. */
function keyPlaces(layout: AdapterLayout, module: AdapterModule): KeyPlace[] {
  const { promptLength: K, hiddenSize: D, gateLength, gateActivation, modules } = layout;
  const gateShape = gateLength === 1 && gateActivation === "tanh" ? [1, 1] : [gateLength];
  return layout.places.flatMap(({ layer, prompt, gate }) => {
    const layers = module === "bare" ? modules.layers : `${modules.root}.${modules.layers}`;
    const stem = `base_model.model.${layers}.${layer}.${modules.attention}.adaption_`;
    return [
      { key: `${stem}prompt`, shape: [1, K, D], begin: prompt, end: prompt + K * D },
      { key: `${stem}gate`, shape: gateShape, begin: gate, end: gate + gateLength },
    ];
  });
}

/**
 * The tensors of an adapter file. Throws an `InputError` where a number is not finite in `dtype`: f16 ends at 65504.
 */
export function adapterTensors(
  layout: AdapterLayout,
  params: Float32Array,
  dtype: DType = "f32",
  module: AdapterModule = "causal-lm",
): Map<string, Tensor> {
  if (params.length !== layout.length) {
    throw new RangeError(`Cannot store the adapter: expected ${layout.length} numbers, got ${params.length}`);
  }
  const problems: string[] = [];
  const tensors = new Map<string, Tensor>();
  for (const { key, shape, begin, end } of keyPlaces(layout, module)) {
    const bytes = narrow(params.subarray(begin, end), dtype);
    const stored = new Float32Array(end - begin);
    widen(dtype, bytes, stored);
    const bad = notFinite(stored);
    if (bad > 0) problems.push(`${bad} numbers of ${key} are not finite in ${dtype}, needed are finite ones`);
    tensors.set(key, { dtype: fileDTypes[dtype], shape, bytes });
  }
  if (problems.length > 0) throw new InputError("Cannot store the adapter", problems);
  return tensors;
}

/** What the metadata of an adapter file says beyond PEFT: `{ format: "pt" }` alone for an adapter that PEFT can express. */
export function adapterMetadata(
  shape: AdapterShape,
  extra: Readonly<Record<string, string>> = {},
): Record<string, string> {
  const { gateSharing, gateActivation, outputBias } = shape;
  const isPlain = gateSharing === "scalar" && gateActivation === "none" && outputBias === undefined;
  if (isPlain && Object.keys(extra).length === 0) return { format: "pt" };
  return {
    ...extra,
    format: "pt",
    "zerogate.gate_sharing": gateSharing,
    "zerogate.gate_activation": gateActivation,
    ...(outputBias && { "zerogate.output_bias": outputBias }),
  };
}

const gateKeys = ["zerogate.gate_sharing", "zerogate.gate_activation"];

/** The part of a file's metadata that `adapterMetadata` does not make up by itself. */
export function furtherMetadata(metadata: ReadonlyMap<string, string>): Record<string, string> {
  const ownKeys = ["format", ...gateKeys, "zerogate.output_bias"];
  return Object.fromEntries([...metadata].filter(([key]) => !ownKeys.includes(key)));
}

/**
 * The gate variant that a file's metadata declares; PEFT's (`scalar`, `none`) where it declares nothing.
 * Throws an `InputError` on a variant that is not known or half declared.
 */
export function declaredGate(
  metadata: ReadonlyMap<string, string>,
  path: string,
): Pick<AdapterShape, "gateSharing" | "gateActivation"> {
  const gateSharing = metadata.get("zerogate.gate_sharing") ?? "scalar";
  const gateActivation = metadata.get("zerogate.gate_activation") ?? "none";
  const isSharing = gateSharing === "scalar" || gateSharing === "per-head";
  const isActivation = gateActivation === "none" || gateActivation === "tanh";
  const declared = gateKeys.filter((key) => metadata.has(key));
  if (isSharing && isActivation && declared.length !== 1) return { gateSharing, gateActivation };
  const problems: string[] = [];
  // Both are always written: where one is lost, taking PEFT's for it would be another adapter.
  if (isSharing && isActivation) problems.push(`its metadata has ${declared[0]} alone, the other one was lost`);
  if (!isSharing)
    problems.push(`zerogate.gate_sharing is ${JSON.stringify(gateSharing)}, known are scalar and per-head`);
  if (!isActivation)
    problems.push(`zerogate.gate_activation is ${JSON.stringify(gateActivation)}, known are none and tanh`);
  throw new InputError(`Cannot read the adapter ${path}`, problems);
}

/**
 * How often the adapter was trained to add its base's output bias; undefined where the metadata does not say, as in
 * PEFT's files. Throws an `InputError` on what is neither.
 */
export function declaredOutputBias(metadata: ReadonlyMap<string, string>, path: string): OutputBias | undefined {
  const outputBias = metadata.get("zerogate.output_bias");
  if (outputBias === undefined || outputBias === "once" || outputBias === "twice") return outputBias;
  const problem = `zerogate.output_bias is ${JSON.stringify(outputBias)}, known are once and twice`;
  throw new InputError(`Cannot read the adapter ${path}`, problem);
}

/** Compares the tensors of a file, by their names, dtypes and shapes alone, with those that `layout` needs. */
export function compareAdapterKeys(
  tensors: ReadonlyMap<string, Pick<TensorEntry, "dtype" | "shape">>,
  layout: AdapterLayout,
): AdapterReport {
  const matched: string[] = [];
  const missing: string[] = [];
  const misShaped: AdapterReport["misShaped"][number][] = [];
  const places = keyPlaces(layout, moduleOf(tensors.keys()));
  for (const { key, shape } of places) {
    const tensor = tensors.get(key);
    if (tensor === undefined) missing.push(key);
    else if (ourDTypes.has(tensor.dtype) && String(tensor.shape) === String(shape)) matched.push(key);
    else {
      const found = `${tensor.dtype} [${tensor.shape.join(", ")}]`;
      misShaped.push({ key, found, needed: `F32, F16 or BF16 [${shape.join(", ")}]` });
    }
  }
  const expected = new Set(places.map(({ key }) => key));
  const unexpected = [...tensors.keys()].filter((key) => !expected.has(key));
  return { matched, missing, unexpected, misShaped };
}

/**
 * Throws an `InputError` that lists every tensor that is missing, surplus or misshaped, and says so where the layers
 * show that the adapter belongs to a base with another number of layers. With `strict` false only tensors of a wrong
 * shape are refused, as nothing could be made of them.
 */
export function checkAdapterKeys(report: AdapterReport, layout: AdapterLayout, path: string, strict = true): void {
  const { missing, unexpected, misShaped } = report;
  const problems = misShaped.map(({ key, found, needed }) => `${key} is ${found}, needed is ${needed}`);
  if (strict) {
    problems.unshift(...layerProblem(report, layout));
    problems.push(...missing.map((key) => `${key} is missing`));
    problems.push(...unexpected.map((key) => `${JSON.stringify(key).slice(0, 200)} is not part of this adapter`));
  }
  if (problems.length > 0) throw new InputError(`Cannot use the adapter ${path} on this model`, problems);
}

/**
 * The flat vector from the tensors of a file. `strict` (the default) throws what `checkAdapterKeys` throws; without it
 * a missing tensor counts as zeros, a surplus one as absent, and the report is the caller's to show. Wrong shapes and
 * numbers that are not finite are refused always, with an `InputError`.
 */
export function readAdapterTensors(
  tensors: ReadonlyMap<string, Tensor>,
  layout: AdapterLayout,
  path: string,
  options: { strict?: boolean } = {},
): { params: Float32Array; report: AdapterReport } {
  const report = compareAdapterKeys(tensors, layout);
  checkAdapterKeys(report, layout, path, options.strict);
  const params = new Float32Array(layout.length);
  const matched = new Set(report.matched);
  const problems: string[] = [];
  for (const { key, begin, end } of keyPlaces(layout, moduleOf(tensors.keys()))) {
    const tensor = tensors.get(key);
    const dtype = tensor && ourDTypes.get(tensor.dtype);
    if (!tensor || !dtype || !matched.has(key)) continue;
    const values = params.subarray(begin, end);
    widen(dtype, tensor.bytes, values);
    const bad = notFinite(values);
    if (bad > 0) problems.push(`${key} holds ${bad} numbers that are not finite`);
  }
  if (problems.length > 0) throw new InputError(`Cannot use the adapter ${path}`, problems);
  return { params, report };
}

const keyPattern =
  /^base_model\.model\.(model\.|transformer\.)?(?:layers|h)\.(\d{1,9})\.(?:self_attn|attn)\.adaption_(?:prompt|gate)$/;

/** Bare only if all adapter tensors of the file are: a mixture shows as missing and unexpected names. */
function moduleOf(keys: Iterable<string>): AdapterModule {
  const matches = [...keys].map((key) => keyPattern.exec(key)).filter((match) => match !== null);
  return matches.length > 0 && matches.every((match) => match[1] === undefined) ? "bare" : "causal-lm";
}

/** PEFT would match by index and leave the top layers of the larger base without a prompt, in silence. */
function layerProblem({ matched, unexpected, misShaped }: AdapterReport, layout: AdapterLayout): string[] {
  const present = [...matched, ...unexpected, ...misShaped.map(({ key }) => key)];
  const layers = present.map((key) => Number(keyPattern.exec(key)?.[2] ?? -1));
  const top = layers.reduce((a, b) => Math.max(a, b), -1);
  const expected = layout.places.at(-1)?.layer;
  if (top < 0 || expected === undefined || top === expected) return [];
  return [
    `its highest prompt is in layer ${top}, which is the last of a base with ${top + 1} layers; ` +
      `this base has ${expected + 1}: use the base that the adapter was trained on`,
  ];
}

/** How many of these are not finite. */
export function notFinite(values: Float32Array): number {
  let bad = 0;
  for (const value of values) if (!Number.isFinite(value)) bad++;
  return bad;
}
