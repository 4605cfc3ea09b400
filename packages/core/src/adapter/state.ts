/** An adapter's numbers and how they are initialised. */
import { normal } from "../random.ts";
import type { AdapterLayout } from "./layout.ts";

/** `params` is flat as `layout` says; it may lie over shared memory and is only read by passes. */
export interface AdapterState {
  readonly layout: AdapterLayout;
  readonly params: Float32Array;
}

/**
 * Fresh parameters as PEFT makes them: prompts i.i.d. N(0, 1) (standard deviation 1, not 0.02), gates 0. The stream is ours
 * (torch's cannot be repeated elsewhere): prompt number i of layer l depends on (seed, l, i) only. `std` is for experiments.
 */
export function initAdapter(layout: AdapterLayout, seed: number, std = 1): Float32Array {
  const params = new Float32Array(layout.length);
  for (const { layer, prompt, gate } of layout.places) {
    for (let i = prompt; i < gate; i++) params[i] = std * normal(seed, layer, i - prompt);
  }
  return params;
}
