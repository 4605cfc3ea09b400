/** What follows the weighted sums of attention: what prompts and images add, the gate, and the output projection. */
import type { AttentionSize, DeviceArray } from "../engine/engine.ts";
import type { DecoderLayer, DecoderModel } from "./decoder.ts";
import type { SavedGate } from "./output_gate.ts";
import type { Pass } from "./pass.ts";
import { heardImages, type LayerSets, type OwnedSet } from "./prompts.ts";
import { leave, type SavedOutput, type SavedTuned } from "./sublayer.ts";
import type { TunedMap } from "./tuned.ts";

export interface Joining {
  readonly qkv_TX: DeviceArray;
  readonly gate_TQ: DeviceArray | undefined;
  readonly sets: LayerSets;
  readonly pass: Pass;
  readonly size: AttentionSize;
  /** Vectors behind the projection. */
  readonly tuned: TunedMap | undefined;
}

/** x + o·W_oᵀ, with what the prompts add on the side of the projection where they join, and under its gate if the base has one. */
export function project(
  { engine, config, architecture }: DecoderModel,
  layer: DecoderLayer,
  { o_TQ, isAdapted }: { readonly o_TQ: DeviceArray; readonly isAdapted: boolean },
  x_TD: DeviceArray,
  { qkv_TX, gate_TQ, sets, pass, size, tuned }: Joining,
): { joined_TD: DeviceArray; output: SavedOutput | SavedTuned | undefined; gate: SavedGate | undefined } {
  let output: SavedOutput | SavedTuned | undefined;
  const projected = (from: DeviceArray) => {
    const to = { x_TD, weight: layer.o, bias: layer.oBias, order: pass.order };
    const left = leave(engine, from, to, layer.attnOutput, { T: size.T, D: config.hiddenSize }, tuned);
    output = left.saved;
    return left.y_TD;
  };
  const addSets = (own: readonly OwnedSet[]) => (to: DeviceArray) =>
    engine.promptAttention(to, { qkv_TX, sets: own }, size);
  const added = [isAdapted ? [] : sets.prompts, heardImages(sets)].filter((own) => own.length > 0).map(addSets);
  const through = (from: DeviceArray, step: (from: DeviceArray) => DeviceArray) => {
    const to = step(from);
    if (from !== o_TQ) engine.free(from);
    return to;
  };
  if (gate_TQ) {
    const joined_TQ = added.reduce(through, o_TQ);
    const open_TQ = engine.sigmoidGate(joined_TQ, gate_TQ, { T: size.T, F: size.H * size.d });
    const joined_TD = projected(open_TQ);
    engine.free(open_TQ);
    return { joined_TD, output, gate: { gate_TQ, joined_TQ } };
  }
  const steps = architecture.promptsJoin === "before-output" ? [...added, projected] : [projected, ...added];
  return { joined_TD: steps.reduce(through, o_TQ), output, gate: undefined };
}
