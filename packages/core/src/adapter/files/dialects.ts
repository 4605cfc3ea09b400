/**
 * Adapters as other programs store them (spec §4.4): the original code (`adapter_query.weight`, gates [1, H, 1, 1] of all
 * layers, before April 2023 [1]) and Lightning's two (`adapter_wte.weight` and `gating_factor` per layer, [1, 1, H, 1] in litgpt,
 * [1, H, 1, 1] in lit-llama). Names and shapes only; what a gate means is `convertGates`' business.
 */
import type { DType } from "../../engine/engine.ts";
import { InputError } from "../../errors.ts";
import { widen } from "../../formats/dtype.ts";
import type { Tensor } from "../../formats/safetensors.ts";
import { adapterLayoutOn, layerParts } from "../kinds/adaption_prompt.ts";
import type { AdapterState } from "../kinds/kind.ts";
import { partNumbers } from "../parameters.ts";
import type { GateActivation } from "../parts/gate.ts";
import { isReleased, type ReadReleasedOptions, readReleased } from "./released.ts";
import { notFinite, ourDTypes, storedTensor } from "./tensors.ts";
import { releasedTensors } from "./write_released.ts";

/** Other programs than PEFT whose files of text adapters are read and written. */
export const foreignDialects = ["original", "litgpt", "lit-llama"] as const;
/** Another program than PEFT: the authors' own, its multimodal version (`released.ts`), litgpt, or lit-llama. */
export type ForeignDialect = (typeof foreignDialects)[number] | "multimodal";

/** What Hugging Face calls the modules of the bases that these programs know, which their files do not name. */
export const foreignModules = { root: "model", layers: "layers", attention: "self_attn" } as const;

const originalGate = /^layers\.(\d{1,4})\.attention\.gate$/;
const litPrompt = /^transformer\.h\.(\d{1,4})\.attn\.adapter_wte\.weight$/;
const litGate = /^transformer\.h\.(\d{1,4})\.attn\.gating_factor$/;

/** Trained by LLaMA-Adapter V2, its multimodal versions and Lightning's adapter_v2: an adaption prompt alone would lose it. */
const beyondPrompts =
  /^(?:visual_|clip_proj|llama\.|prefix_query)|lora_|new_gate$|\.adapter_(?:bias|scale)$|attention\.w[qo]\.bias$|feed_forward\.w\d\.bias$/;

/** What a file of another program does not say itself. */
export interface ReadDialectOptions extends ReadReleasedOptions {
  /**
   * What the gates of an original file mean, which it does not say: `tanh` is its training code, `none` its first inference
   * script. Lightning's gates are raw.
   * @default "tanh"
   */
  readonly originalGate?: GateActivation;
  /** K, if an original file's gates leave it open. @default what the file says */
  readonly promptLength?: number;
}

/** Which program's names these are, or undefined; `PEFT`'s are not asked for. */
export function foreignDialect(names: Iterable<string>): ForeignDialect | undefined {
  const all = [...names];
  if (isReleased(all)) return "multimodal";
  for (const name of all) {
    if (name === "adapter_query.weight") return "original";
    if (litPrompt.test(name)) return "litgpt";
  }
  return undefined;
}

/** The tensors of the adapter; a training checkpoint of the original code holds the whole base beside them. */
export function isAdapterTensor(name: string): boolean {
  return (
    name === "adapter_query.weight" ||
    originalGate.test(name) ||
    litPrompt.test(name) ||
    litGate.test(name) ||
    beyondPrompts.test(name)
  );
}

/**
 * The adapter in the tensors of an original or Lightning file; the names alone say which. `notes` lists what was inferred.
 * @throws InputError that lists what is missing, of another shape, not finite, or more than an adaption prompt.
 */
export function readForeignAdapter(
  tensors: ReadonlyMap<string, Tensor>,
  path: string,
  options: ReadDialectOptions = {},
): { state: AdapterState; notes: string[] } {
  const attempt = `Cannot use ${path} as an adapter`;
  const dialect = foreignDialect(tensors.keys());
  if (dialect === "multimodal") return readReleased(tensors, [...tensors.keys()], path, options);
  if (dialect === undefined) {
    throw new InputError(attempt, "it has neither adapter_query.weight (original) nor adapter_wte.weight (Lightning)");
  }
  const further = [...tensors.keys()].filter((name) => beyondPrompts.test(name));
  if (further.length > 0) {
    const names = further.slice(0, 3).join(", ");
    throw new InputError(
      attempt,
      `it trains more than prompts and gates (${names}${further.length > 3 ? ", …" : ""}), as LLaMA-Adapter V2 does: its prompts alone are another model`,
    );
  }
  const problems: string[] = [];
  const parts = dialect === "original" ? originalParts(tensors, options, problems) : litParts(tensors, problems);
  if (problems.length > 0 || parts === undefined) throw new InputError(attempt, problems);
  const { promptLength, hiddenSize, layers, gates, prompts, notes } = parts;
  const heads = gates.reduce((most, { length }) => Math.max(most, length), 1);
  const shape = {
    promptLength,
    adaptedLayers: gates.length,
    gateSharing: heads === 1 ? "scalar" : "per-head",
    gateActivation: dialect === "original" ? (options.originalGate ?? "tanh") : "none",
  } as const;
  const layout = adapterLayoutOn(shape, { layers, hiddenSize, heads, modules: foreignModules, hasOutputBias: false });
  const params = new Float32Array(layout.length);
  for (const [i, { prompt, gate }] of layerParts(layout).entries()) {
    partNumbers(prompt, params).set(prompts[i]);
    partNumbers(gate, params).set(gates[i]);
  }
  return { state: { layout, params }, notes };
}

/**
 * The tensors of an original or Lightning file. The gates must be per head; the unused layers of the original code get gates
 * of 0. Throws an `InputError` if a number is not finite in `dtype`.
 */
export function foreignTensors(
  { layout, params }: AdapterState,
  dialect: ForeignDialect,
  dtype: DType = "f32",
): Map<string, Tensor> {
  const { promptLength: K, gateSharing, vision } = layout.shape;
  if (dialect === "multimodal") return releasedTensors({ layout, params }, dtype);
  if (vision) throw new RangeError(`Cannot write ${dialect}: it has no place for what the adapter trained for images`);
  const { hiddenSize: D, heads: H, layers } = layout.base;
  const parts = layerParts(layout);
  if (gateSharing === "scalar" && H > 1) {
    throw new RangeError(`Cannot write ${dialect}: expected ${H} gates a layer, got 1`);
  }
  const tensors = new Map<string, Tensor>();
  const problems: string[] = [];
  const put = (name: string, shape: readonly number[], values: Float32Array) =>
    tensors.set(name, storedTensor(name, shape, values, { dtype, problems }));
  if (dialect === "original") {
    const query = new Float32Array(parts.length * K * D);
    const gates = Array.from({ length: layers }, (): Float32Array => new Float32Array(H));
    for (const [j, { layer, prompt, gate }] of parts.entries()) {
      query.set(partNumbers(prompt, params), j * K * D);
      gates[layer] = partNumbers(gate, params);
    }
    put("adapter_query.weight", [parts.length * K, D], query);
    for (const [layer, values] of gates.entries()) put(`layers.${layer}.attention.gate`, [1, H, 1, 1], values);
  } else {
    for (const { layer, prompt, gate } of parts) {
      const stem = `transformer.h.${layer}.attn`;
      put(`${stem}.adapter_wte.weight`, [K, D], partNumbers(prompt, params));
      const shape = dialect === "litgpt" ? [1, 1, H, 1] : [1, H, 1, 1];
      put(`${stem}.gating_factor`, shape, partNumbers(gate, params));
    }
  }
  if (problems.length > 0) throw new InputError("Cannot store the adapter", problems);
  return tensors;
}

interface Parts {
  readonly promptLength: number;
  readonly hiddenSize: number;
  /** Of the base. */
  readonly layers: number;
  /** Of adapted layers, ascending. */
  readonly prompts: readonly Float32Array[];
  readonly gates: readonly Float32Array[];
  readonly notes: string[];
}

function originalParts(
  tensors: ReadonlyMap<string, Tensor>,
  options: ReadDialectOptions,
  problems: string[],
): Parts | undefined {
  const query = numbersOf(tensors, "adapter_query.weight", 2, problems);
  const gates = numberedLayers(tensors, originalGate);
  const top = gates.at(-1)?.layer;
  if (query === undefined || top === undefined) {
    if (top === undefined) problems.push("it has no layers.….attention.gate");
    return undefined;
  }
  const [rows, hiddenSize] = query.shape;
  const values = gates.map(({ name }) => numbersOf(tensors, name, undefined, problems)?.values ?? new Float32Array());
  // All layers have a gate, adapted ones a gate that was trained: the lowest of those gives L, and L gives K.
  const lowest = gates.find((_, i) => values[i].some((gate) => gate !== 0))?.layer;
  const open = lowest === undefined ? undefined : top + 1 - lowest;
  const promptLength = options.promptLength ?? (open === undefined ? 10 : rows / open);
  const adaptedLayers = rows / promptLength;
  const isWhole = Number.isInteger(promptLength) && Number.isInteger(adaptedLayers) && adaptedLayers <= gates.length;
  if (!isWhole || (open !== undefined && open > adaptedLayers)) {
    const trained = open === undefined ? "no gate is open" : `gates are open in the last ${open} layers`;
    problems.push(
      `adapter_query.weight has ${rows} rows and ${trained}, which does not fit ${promptLength} prompts a layer: say how many there are (adapter length)`,
    );
    return undefined;
  }
  const notes = [`${adaptedLayers} layers of ${promptLength} prompts, from ${rows} rows and the gates that are open`];
  const adapted = values.slice(-adaptedLayers);
  checkContiguous(gates.slice(-adaptedLayers), problems);
  checkHeads(adapted, problems);
  const stride = promptLength * hiddenSize;
  const prompts = adapted.map((_, j) => query.values.subarray(j * stride, (j + 1) * stride));
  return { promptLength, hiddenSize, layers: top + 1, prompts, gates: adapted, notes };
}

function litParts(tensors: ReadonlyMap<string, Tensor>, problems: string[]): Parts | undefined {
  const found = numberedLayers(tensors, litPrompt);
  const prompts = found.map(({ name }) => numbersOf(tensors, name, 2, problems));
  const gates = found.map(({ layer }) => {
    const name = `transformer.h.${layer}.attn.gating_factor`;
    return numbersOf(tensors, name, undefined, problems)?.values ?? new Float32Array();
  });
  const top = found.at(-1)?.layer;
  const [first] = prompts;
  if (first === undefined || top === undefined) return undefined;
  checkContiguous(found, problems);
  checkHeads(gates, problems);
  for (const [i, prompt] of prompts.entries()) {
    if (prompt && String(prompt.shape) !== String(first.shape)) {
      problems.push(`${found[i].name} is [${prompt.shape.join(", ")}], the first one [${first.shape.join(", ")}]`);
    }
  }
  for (const { name, layer } of numberedLayers(tensors, litGate)) {
    if (!found.some((prompt) => prompt.layer === layer)) problems.push(`${name} has no prompt`);
  }
  const [promptLength, hiddenSize] = first.shape;
  const values = prompts.flatMap((prompt) => (prompt ? [prompt.values] : []));
  return { promptLength, hiddenSize, layers: top + 1, prompts: values, gates, notes: [] };
}

/** Names of one kind with their layer, ascending. */
function numberedLayers(tensors: ReadonlyMap<string, Tensor>, pattern: RegExp): { name: string; layer: number }[] {
  return [...tensors.keys()]
    .flatMap((name) => {
      const layer = pattern.exec(name)?.[1];
      return layer === undefined ? [] : [{ name, layer: Number(layer) }];
    })
    .toSorted((a, b) => a.layer - b.layer);
}

function checkContiguous(found: readonly { name: string; layer: number }[], problems: string[]): void {
  for (const [i, { layer }] of found.entries()) {
    if (layer !== found[0].layer + i) {
      problems.push(`layer ${found[0].layer + i} is missing between the adapted layers`);
      return;
    }
  }
}

function checkHeads(gates: readonly Float32Array[], problems: string[]): void {
  const counts = new Set(gates.map(({ length }) => length));
  if (counts.size > 1)
    problems.push(`its layers have ${[...counts].join(" and ")} gates, needed is one number of heads`);
}

/** A tensor as float32. A gate may have any rank: of its sizes only one may differ from 1. */
function numbersOf(
  tensors: ReadonlyMap<string, Tensor>,
  name: string,
  rank: number | undefined,
  problems: string[],
): { values: Float32Array; shape: readonly number[] } | undefined {
  const tensor = tensors.get(name);
  const dtype = tensor && ourDTypes.get(tensor.dtype);
  const needed = rank === 2 ? "F32, F16 or BF16 [rows, D]" : "F32, F16 or BF16 with one number, or one per head";
  if (tensor === undefined || dtype === undefined) {
    problems.push(`${name} is ${tensor ? tensor.dtype : "missing"}, needed is ${needed}`);
    return undefined;
  }
  const { shape } = tensor;
  const isSound = rank === undefined ? shape.filter((size) => size !== 1).length <= 1 : shape.length === rank;
  if (!isSound || shape.includes(0)) {
    problems.push(`${name} is [${shape.join(", ")}], needed is ${needed}`);
    return undefined;
  }
  const values = new Float32Array(shape.reduce((a, b) => a * b, 1));
  widen(dtype, tensor.bytes, values);
  if (notFinite(values) > 0) problems.push(`${name} holds ${notFinite(values)} numbers that are not finite`);
  return { values, shape };
}
