/**
 * Multimodal checkpoints of LLaMA-Adapter V2 as its authors released them (spec of images §7.1): prompts of all adapted layers in one
 * tensor, gates `[1, H, 1, 1]` of all layers under tanh, and the visual-query transformer under the names that we store too.
 *
 * Heads of the transformer's blocks are not in the file. Built with LoRA, or with biases or norms of the base that were trained, it
 * is another model than its prompts and its transformer alone.
 */
import { InputError } from "../../errors.ts";
import { widen } from "../../formats/dtype.ts";
import type { Tensor } from "../../formats/safetensors.ts";
import { adapterLayoutOn, layerParts } from "../kinds/adaption_prompt.ts";
import type { AdapterState } from "../kinds/kind.ts";
import type { QueryShape } from "../layout.ts";
import { partNumbers } from "../parameters.ts";
import { VISION_FILE } from "../parts/projection.ts";
import { compareTensors, notFinite, ourDTypes, readParts, reportProblems } from "./tensors.ts";

/** What Hugging Face calls the modules of the base that it was trained on, LLaMA. */
const modules = { root: "model", layers: "layers", attention: "self_attn" } as const;

const gateName = /^llama\.layers\.(\d{1,4})\.attention\.gate$/;
const factorName = /^llama\.layers\.(\d{1,4})\.attention\.new_gate$/;
const blockName = /^visual_blocks\.(\d{1,4})\./;
const ownNames = /^(?:adapter_query\.weight$|visual_(?:query|proj|proj_norm|blocks)\.|clip_proj(?:_norm)?\.)/;
const biasName = /^llama\.layers\.\d+\.(?:attention\.w[qkvo]|feed_forward\.w\d)\.bias$/;
const normName = /^llama\.(?:layers\.\d+\.(?:attention|ffn)_norm|norm)\.weight$/;

/** What a released file does not say itself. */
export interface ReadReleasedOptions {
  /** Heads of the transformer's blocks. @default 16 */
  readonly visionHeads?: number | undefined;
  /** Folds factors of gates (`new_gate`) into gates without tanh, which PEFT's kind of adapter has no place for otherwise. @default false */
  readonly rawGates?: boolean | undefined;
}

/** Whether these are the names of a released multimodal checkpoint. */
export function isReleased(names: Iterable<string>): boolean {
  const all = new Set(names);
  return all.has("adapter_query.weight") && all.has("visual_query.weight");
}

/** The tensors of such a file that are read, out of a training checkpoint too, which holds tower and base beside them. */
export function isReleasedTensor(name: string): boolean {
  return ownNames.test(name) || gateName.test(name) || factorName.test(name) || biasName.test(name);
}

/**
 * The adapter in the tensors of a released file, of which `names` are all. `notes` lists what was inferred.
 * @throws InputError that lists what is missing, of another shape, not finite, or has no place in an adapter.
 */
export function readReleased(
  tensors: ReadonlyMap<string, Tensor>,
  names: readonly string[],
  path: string,
  { visionHeads = 16, rawGates = false }: ReadReleasedOptions = {},
): { state: AdapterState; notes: string[] } {
  const attempt = `Cannot use ${path} as an adapter`;
  const problems = foreignParts(tensors, names);
  const { numbers, shapeOf } = readerOf(tensors, problems);
  const query = shapeOf("visual_query.weight");
  const prompts = shapeOf("adapter_query.weight");
  const gates = layersOf(names, gateName);
  if (gates.length === 0) problems.push("it has no llama.layers.….attention.gate");
  if (problems.length > 0) throw new InputError(attempt, problems);
  const [K = 0, E = 0] = query;
  const [rows = 0, D = 0] = prompts;
  const [N, L] = [gates.length, rows / K];
  if (!Number.isInteger(L) || L < 1 || L > N || gates.at(-1)?.layer !== N - 1) {
    problems.push(
      `adapter_query.weight has ${rows} rows, visual_query.weight ${K}, and ${N} layers have gates: that does not fit`,
    );
  }
  if (E % visionHeads > 0)
    problems.push(`a width of ${E} does not divide over ${visionHeads} heads: say how many there are (--vision-heads)`);
  if (problems.length > 0) throw new InputError(attempt, problems);
  const blocks = 1 + names.reduce((last, name) => Math.max(last, Number(blockName.exec(name)?.[1] ?? -1)), -1);
  if (blocks === 0) problems.push("it has no visual_blocks.….attn.qkv.weight");
  const notes = [`${L} layers of ${K} prompts; ${visionHeads} heads of visual blocks are taken: --vision-heads`];
  const effective = gates.map(({ name }) => numbers(name));
  const heads = effective[0].length;
  const factors = new Map(layersOf(names, factorName).map(({ name, layer }) => [layer, numbers(name)[0]]));
  const isScaled = [...factors.values()].some((factor) => factor !== 1);
  if (isScaled && !rawGates) {
    problems.push(
      "its gates have factors (new_gate), which tanh has no place for: fold them into gates without tanh (--gate raw)",
    );
  }
  const vision: QueryShape = {
    fusion: "query",
    featureSize: shapeOf("clip_proj.weight")[1] ?? 0,
    embedSize: E,
    blocks,
    heads: visionHeads,
    mlpSize: shapeOf("visual_blocks.0.mlp.fc1.weight")[0] ?? 0,
    blockEps: 1e-6,
    normEps: 1e-5,
    missingImage: "none",
  };
  const shape = { promptLength: K, adaptedLayers: L, gateSharing: "per-head", vision } as const;
  const gateActivation = isScaled ? "none" : "tanh";
  if (problems.length > 0) throw new InputError(attempt, problems);
  const layout = adapterLayoutOn(
    { ...shape, gateActivation },
    { layers: N, hiddenSize: D, heads, modules, hasOutputBias: false },
  );
  const params = new Float32Array(layout.length);
  const parts = layout.table.filter(({ file }) => file === VISION_FILE);
  const own = new Map([...tensors].filter(([name]) => ownNames.test(name) && name !== "adapter_query.weight"));
  problems.push(...reportProblems(compareTensors(own, parts), true));
  for (const [i, { name }] of gates.entries()) {
    if (effective[i].length !== heads)
      problems.push(`${name} has ${effective[i].length} gates, the first one ${heads}`);
  }
  if (problems.length > 0) throw new InputError(attempt, problems);
  readParts(own, parts, params, path);
  const open = effective.slice(0, N - L).filter((layer) => layer.some((gate) => gate !== 0)).length;
  if (open > 0)
    notes.push(`${open} of the ${N - L} layers below the adapted ones have gates that are not 0: nothing reads them`);
  const all = numbers("adapter_query.weight");
  for (const [j, { layer, prompt, gate }] of layerParts(layout).entries()) {
    partNumbers(prompt, params).set(all.subarray(j * K * D, (j + 1) * K * D));
    const stored = effective[layer];
    const factor = factors.get(layer) ?? 1;
    partNumbers(gate, params).set(isScaled ? stored.map((g) => factor * Math.tanh(g)) : stored);
  }
  if (problems.length > 0) throw new InputError(attempt, problems);
  return { state: { layout, params }, notes };
}

/** What the file trains beside prompts, gates and the transformer: biases of zero are none. */
function foreignParts(tensors: ReadonlyMap<string, Tensor>, names: readonly string[]): string[] {
  const problems: string[] = [];
  const lora = names.find((name) => name.includes("lora_"));
  if (lora !== undefined)
    problems.push(`it was built with LoRA (${lora}, …), another method: without it this is another model`);
  const bias = [...tensors].find(([name, { bytes }]) => biasName.test(name) && bytes.some((byte) => byte !== 0));
  if (bias)
    problems.push(
      `it trains biases of the base (${bias[0]}, …), as LLaMA-Adapter V2 does: without them this is another model`,
    );
  const hasBase = names.some((name) => name === "llama.layers.0.attention.wq.weight");
  const norm = hasBase ? undefined : names.find((name) => normName.test(name));
  if (norm !== undefined)
    problems.push(
      `it trains norms of the base (${norm}, …), as LLaMA-Adapter V2 does: without them this is another model`,
    );
  return problems;
}

/** Reads tensors by name; what is missing, of another rank or not finite becomes a problem. */
function readerOf(tensors: ReadonlyMap<string, Tensor>, problems: string[]) {
  const shapeOf = (name: string): readonly number[] => {
    const shape = tensors.get(name)?.shape;
    if (shape?.length === 2 && !shape.includes(0)) return shape;
    problems.push(`${name} is ${shape ? `[${shape.join(", ")}]` : "missing"}, needed is a matrix`);
    return [];
  };
  const numbers = (name: string): Float32Array => {
    const tensor = tensors.get(name);
    const dtype = tensor && ourDTypes.get(tensor.dtype);
    if (!tensor || dtype === undefined) {
      problems.push(`${name} is ${tensor?.dtype ?? "missing"}, needed is F32, F16 or BF16`);
      return new Float32Array(1);
    }
    const values = new Float32Array(tensor.shape.reduce((a, b) => a * b, 1));
    widen(dtype, tensor.bytes, values);
    if (notFinite(values) > 0) problems.push(`${name} holds ${notFinite(values)} numbers that are not finite`);
    return values;
  };
  return { shapeOf, numbers };
}

/** Names of one kind with their layer, ascending. */
function layersOf(names: readonly string[], pattern: RegExp): { name: string; layer: number }[] {
  return names
    .flatMap((name) => {
      const layer = pattern.exec(name)?.[1];
      return layer === undefined ? [] : [{ name, layer: Number(layer) }];
    })
    .toSorted((a, b) => a.layer - b.layer);
}
