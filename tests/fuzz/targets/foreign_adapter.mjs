/** Adapters of the original code and Lightning: what is accepted comes back from its own format and from the original's. */
import { deepStrictEqual } from "node:assert";
import { adapterLayout, convertGates, initParameters } from "@zerogate/core";
import {
  foreignTensors,
  memorySource,
  openTorchFile,
  readForeignAdapter,
  readTorchTensors,
  serializeTorchFile,
  tensorsOf,
} from "@zerogate/core/formats";
import { withoutCrc } from "../corpus.mjs";

export function corpus() {
  return ["original", "litgpt", "lit-llama"].map((dialect) => {
    const shape = { promptLength: 2, adaptedLayers: 2, gateSharing: "per-head", gateActivation: "tanh" };
    const layout = adapterLayout(shape, { modelType: "llama", layers: 3, hiddenSize: 4, heads: 2, outputBias: false });
    const params = initParameters(layout.table, 3).map((value) => value || 0.25);
    return withoutCrc(serializeTorchFile(foreignTensors({ layout, params }, dialect)));
  });
}

export async function check(bytes) {
  const file = await openTorchFile(memorySource(bytes, "x"));
  const tensors = await readTorchTensors(file, tensorsOf(file.root));
  const { state } = readForeignAdapter(tensors, "x", { promptLength: 2 });
  const { layout, params } = state;
  if (!params.every(Number.isFinite) || params.length !== layout.length)
    throw new Error("it holds values that are not numbers");
  const target = { gateSharing: "per-head", gateActivation: layout.shape.gateActivation };
  const { state: wide } = convertGates(state, target);
  const dialect = layout.shape.gateActivation === "tanh" ? "original" : "litgpt";
  const { state: again } = readForeignAdapter(foreignTensors(wide, dialect), "y", {
    promptLength: layout.shape.promptLength,
  });
  deepStrictEqual([again.layout.base.layers, again.params], [layout.base.layers, wide.params]);
}
