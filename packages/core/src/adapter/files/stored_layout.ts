/** What an adapter file says of its base by itself: enough to look at it, to compare and to convert it without the base. */
import { InputError } from "../../errors.ts";
import type { TensorEntry } from "../../formats/safetensors.ts";
import { adapterLayoutOn } from "../kinds/adaption_prompt.ts";
import type { AdaptedBase, AdapterLayout, ShapeChoice } from "../layout.ts";

/** The root, if there is one, the list of layers, the layer, its attention. */
const promptKey = /^base_model\.model\.(?:([\w.]+)\.)?(\w+)\.(\d{1,4})\.(\w+)\.adaption_prompt$/;

/**
 * The layout that PEFT's names and shapes imply. Prompts lie in the last layers, so the highest one ends the base. Heads
 * are known if gates are per head; else they are `heads`, or count as 1. Throws an `InputError` if there are no
 * prompts, or not of one shape; `checkAdapterKeys` checks all else.
 */
export function storedLayout(
  tensors: ReadonlyMap<string, Pick<TensorEntry, "shape">>,
  { attachment, ...declared }: Omit<ShapeChoice, "promptLength" | "adaptedLayers"> & Pick<AdaptedBase, "attachment">,
  path: string,
  heads?: number,
): AdapterLayout {
  const attempt = `Cannot use the adapter ${path}`;
  const prompts = [...tensors].flatMap(([key, { shape }]) => {
    const [, root = "", list, layer, attention] = promptKey.exec(key) ?? [];
    if (list === undefined || attention === undefined) return [];
    return [{ key, layer: Number(layer), shape, modules: { root, layers: list, attention } }];
  });
  const [first] = prompts;
  if (first === undefined) throw new InputError(attempt, "it holds no tensor ….adaption_prompt");
  const problems = prompts
    .filter(({ shape }) => shape.length !== 3 || shape[0] !== 1 || String(shape) !== String(first.shape))
    .map(({ key, shape }) => `${key} is [${shape.join(", ")}], needed is [1, K, D], in all layers the same`);
  if (problems.length > 0) throw new InputError(attempt, problems);
  const layers = 1 + prompts.reduce((top, { layer }) => Math.max(top, layer), 0);
  if (prompts.length > layers) throw new InputError(attempt, `it has ${prompts.length} prompts for ${layers} layers`);
  const [, promptLength, hiddenSize] = first.shape;
  const shape = { promptLength, adaptedLayers: prompts.length, ...declared };
  const base: AdaptedBase = {
    layers,
    hiddenSize,
    heads: heads ?? storedHeads(tensors),
    modules: first.modules,
    hasOutputBias: declared.outputBiasTimes !== undefined,
    // A base that PEFT does not know may have layers without attention between those that a file names.
    ...(attachment && { attachment, attentionLayers: prompts.map(({ layer }) => layer).toSorted((a, b) => a - b) }),
  };
  return adapterLayoutOn(shape, base);
}

/** Per-head gates are [H]; everything else has one number a layer. */
function storedHeads(tensors: ReadonlyMap<string, Pick<TensorEntry, "shape">>): number {
  for (const [key, { shape }] of tensors) {
    if (key.endsWith(".adaption_gate") && shape.length === 1) return Math.max(1, shape[0]);
  }
  return 1;
}
