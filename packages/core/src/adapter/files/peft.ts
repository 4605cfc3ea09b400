/**
 * Adapter files as PEFT (0.8 … 0.21) names them: `base_model.model.model.layers.{i}.self_attn.adaption_prompt` [1, K, D] and
 * `….adaption_gate` [1], i the absolute layer (in a gpt2 `base_model.model.transformer.h.{i}.attn.…`). The names of a table
 * are those for a base with a head.
 *
 * For a base that PEFT does not know the metadata says by which rule prompts attach (`zerogate.attachment`), so that a later rule
 * can be told from it. PEFT has neither per-head gates nor tanh. Such adapters store the gate as [H], or as [1, 1] if one gate that PEFT lacks is
 * shared, and say so in the file's metadata: PEFT refuses the shape instead of computing something else.
 */
import type { DType } from "../../engine/engine.ts";
import { InputError } from "../../errors.ts";
import type { Tensor, TensorEntry } from "../../formats/safetensors.ts";
import type { AdaptedBase, AdapterLayout, Attachment, OutputBias, ShapeChoice } from "../layout.ts";
import type { ParameterTable } from "../parameters.ts";
import { isPeft, settingKeys, settingsMetadata, settingsOf } from "../settings.ts";
import { type AdapterReport, compareTensors, partTensors, readParts, reportProblems } from "./tensors.ts";

/** The file of an adapter folder that PEFT reads. */
export const ADAPTER_FILE = "adapter_model.safetensors";

const PREFIX = "base_model.model.";
const ATTACHMENT = "zerogate.attachment";

/** The base model class that the names are for: with a head (`LlamaForCausalLM`) or without (`LlamaModel`, `GPT2Model`). */
export type AdapterModule = "causal-lm" | "bare";

/** The table with the names of a base class. */
export function tableFor(
  module: AdapterModule,
  { table, base }: Pick<AdapterLayout, "table" | "base">,
): ParameterTable {
  const { root } = base.modules;
  if (module === "causal-lm") return table;
  const withRoot = `${PREFIX}${root}.`;
  return table.map((part) => {
    const { fileName } = part;
    return fileName.startsWith(withRoot) ? { ...part, fileName: PREFIX + fileName.slice(withRoot.length) } : part;
  });
}

/** The parts that PEFT's file holds, under the names of a base class. */
function peftParts(layout: AdapterLayout, module: AdapterModule): ParameterTable {
  return tableFor(module, layout).filter(({ file }) => file === ADAPTER_FILE);
}

/** The tensors of PEFT's file. Throws an `InputError` if a number is not finite in `dtype`: f16 ends at 65504. */
export function adapterTensors(
  layout: AdapterLayout,
  params: Float32Array,
  dtype: DType = "f32",
  module: AdapterModule = "causal-lm",
): Map<string, Tensor> {
  return partTensors(tableFor(module, layout), params, dtype).get(ADAPTER_FILE) ?? new Map();
}

/**
 * What the metadata of an adapter file says beyond PEFT: `{ format: "pt" }` alone for an adapter that PEFT can express.
 *
 * @param base says how prompts attach to it, if that is not PEFT's way.
 */
export function adapterMetadata(
  shape: ShapeChoice,
  extra: Readonly<Record<string, string>> = {},
  base: Pick<AdaptedBase, "attachment"> = {},
): Record<string, string> {
  const { outputBiasTimes } = shape;
  const attached = { ...(base.attachment && { [ATTACHMENT]: base.attachment }) };
  const settings = settingsOf(shape);
  const isPlain = isPeft(settings) && outputBiasTimes === undefined;
  if (isPlain && Object.keys(extra).length === 0) return { format: "pt", ...attached };
  return {
    ...extra,
    format: "pt",
    ...settingsMetadata(settings),
    ...(outputBiasTimes && { "zerogate.output_bias": outputBiasTimes }),
    ...attached,
  };
}

/** The part of a file's metadata that `adapterMetadata` does not generate. */
export function furtherMetadata(metadata: ReadonlyMap<string, string>): Record<string, string> {
  const ownKeys = ["format", ...settingKeys, "zerogate.output_bias", ATTACHMENT];
  return Object.fromEntries([...metadata].filter(([key]) => !ownKeys.includes(key)));
}

/**
 * How often the adapter was trained to add its base's output bias; undefined if the metadata does not say, as in
 * PEFT's files. Throws an `InputError` on what is neither.
 */
export function declaredOutputBias(metadata: ReadonlyMap<string, string>, path: string): OutputBias | undefined {
  const outputBias = metadata.get("zerogate.output_bias");
  if (outputBias === undefined || outputBias === "once" || outputBias === "twice") return outputBias;
  const problem = `zerogate.output_bias is ${JSON.stringify(outputBias)}, known are once and twice`;
  throw new InputError(`Cannot read the adapter ${path}`, problem);
}

/**
 * The rule by which the prompts of a file attach to a base that PEFT does not know; undefined if the metadata does not say. Throws an
 * `InputError` on a rule of a later version.
 */
export function declaredAttachment(metadata: ReadonlyMap<string, string>, path: string): Attachment | undefined {
  const attachment = metadata.get(ATTACHMENT);
  if (attachment === undefined || attachment === "1") return attachment;
  const problem = `${ATTACHMENT} is ${JSON.stringify(attachment)}, known is 1: use the version of Zerogate that wrote it`;
  throw new InputError(`Cannot read the adapter ${path}`, problem);
}

/** Compares the tensors of PEFT's file, by their names, dtypes and shapes alone, with those that `layout` needs. */
export function compareAdapterKeys(
  tensors: ReadonlyMap<string, Pick<TensorEntry, "dtype" | "shape">>,
  layout: AdapterLayout,
): AdapterReport {
  return compareTensors(tensors, peftParts(layout, moduleOf(tensors.keys())));
}

/**
 * Throws an `InputError` that lists every tensor that is missing, surplus or misshaped, and says so if the layers
 * show that the adapter belongs to a base with another number of layers. With `strict` false only tensors of a wrong
 * shape are refused, as nothing could be made of them.
 */
export function checkAdapterKeys(report: AdapterReport, layout: AdapterLayout, path: string, strict = true): void {
  const problems = reportProblems(report, strict);
  if (strict) problems.unshift(...layerProblem(report, layout));
  if (problems.length > 0) throw new InputError(`Cannot use the adapter ${path} on this model`, problems);
}

/**
 * The flat vector from the tensors of PEFT's file. `strict` (the default) throws what `checkAdapterKeys` throws; without it
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
  readParts(tensors, peftParts(layout, moduleOf(tensors.keys())), params, path);
  return { params, report };
}

/** What comes before the list of layers is the root, which a base without a head does not have; then the layer. */
const keyPattern = /^base_model\.model\.(?:([\w.]+)\.)?\w+\.(\d{1,9})\.\w+\.adaption_(?:prompt|gate)$/;

/** Bare only if all adapter tensors of the file are: a mixture shows as missing and unexpected names. */
function moduleOf(keys: Iterable<string>): AdapterModule {
  const matches = [...keys].map((key) => keyPattern.exec(key)).filter((match) => match !== null);
  return matches.length > 0 && matches.every((match) => match[1] === undefined) ? "bare" : "causal-lm";
}

/** PEFT would match by index and leave the top layers of the larger base without a prompt, in silence. */
function layerProblem({ matched, unexpected, misShaped }: AdapterReport, { base }: AdapterLayout): string[] {
  const present = [...matched, ...unexpected, ...misShaped.map(({ key }) => key)];
  const layers = present.map((key) => Number(keyPattern.exec(key)?.[2] ?? -1));
  const top = layers.reduce((a, b) => Math.max(a, b), -1);
  if (top < 0 || top === (base.attentionLayers?.at(-1) ?? base.layers - 1)) return [];
  return [
    `its highest prompt is in layer ${top}, which is the last of a base with ${top + 1} layers; ` +
      `this base has ${base.layers}: use the base that the adapter was trained on`,
  ];
}
