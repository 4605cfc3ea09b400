/** An adapter as the authors of LLaMA-Adapter V2 released their multimodal checkpoints, see released.ts. */
import type { DType } from "../../engine/engine.ts";
import { InputError } from "../../errors.ts";
import type { Tensor } from "../../formats/safetensors.ts";
import { layerParts } from "../kinds/adaption_prompt.ts";
import type { AdapterState } from "../kinds/kind.ts";
import { partLength, partNumbers } from "../parameters.ts";
import { VISION_FILE } from "../parts/projection.ts";
import { storedTensor } from "./tensors.ts";

/** What stands beside the tensors in such a file: neither biases nor LoRA. */
export const RELEASED_CONFIG = { w_bias: false, w_lora: false, lora_rank: 16 } as const;

/**
 * The tensors of such a file; layers below the adapted ones get gates of 0. Throws a RangeError for an adapter without visual
 * queries or with other gates than one per head under tanh, an `InputError` if a number is not finite in `dtype`.
 */
export function releasedTensors({ layout, params }: AdapterState, dtype: DType = "f32"): Map<string, Tensor> {
  const { promptLength: K, vision, gateActivation } = layout.shape;
  const { hiddenSize: D, heads: H, layers } = layout.base;
  const parts = layerParts(layout);
  const isPerHead = parts.every(({ gate }) => partLength(gate) === H);
  if (vision?.fusion !== "query" || gateActivation !== "tanh" || !isPerHead) {
    throw new RangeError("Cannot write multimodal: expected visual queries, and a gate for each head under tanh");
  }
  const tensors = new Map<string, Tensor>();
  const problems: string[] = [];
  const put = (name: string, shape: readonly number[], values: Float32Array) =>
    tensors.set(name, storedTensor(name, shape, values, { dtype, problems }));
  const query = new Float32Array(parts.length * K * D);
  const gates = Array.from({ length: layers }, (): Float32Array => new Float32Array(H));
  for (const [j, { layer, prompt, gate }] of parts.entries()) {
    query.set(partNumbers(prompt, params), j * K * D);
    gates[layer] = partNumbers(gate, params);
  }
  put("adapter_query.weight", [parts.length * K, D], query);
  for (const [layer, values] of gates.entries()) put(`llama.layers.${layer}.attention.gate`, [1, H, 1, 1], values);
  for (const part of layout.table) {
    if (part.file === VISION_FILE) put(part.fileName, part.shape, partNumbers(part, params));
  }
  if (problems.length > 0) throw new InputError("Cannot store the adapter", problems);
  return tensors;
}
