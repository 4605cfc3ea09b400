/** Adapters of the original code and Lightning: what is accepted comes back from its own format and from the original's. */
import { deepStrictEqual } from "node:assert";
import {
  adapterLayout,
  convertGates,
  foreignTensors,
  initAdapter,
  layersOf,
  memorySource,
  openTorchFile,
  readForeignAdapter,
  readTorchTensors,
  serializeTorchFile,
  tensorsOf,
} from "@zerogate/core";
import { withoutCrc } from "../corpus.mjs";

export function corpus() {
  return ["original", "litgpt", "lit-llama"].map((dialect) => {
    const shape = { promptLength: 2, adaptedLayers: 2, gateSharing: "per-head", gateActivation: "tanh" };
    const layout = adapterLayout(shape, { layers: 3, hiddenSize: 4, heads: 2 });
    const params = initAdapter(layout, 3).map((value) => value || 0.25);
    return withoutCrc(serializeTorchFile(foreignTensors({ layout, params }, dialect)));
  });
}

export async function check(bytes) {
  const file = await openTorchFile(memorySource(bytes, "x"));
  const tensors = await readTorchTensors(file, tensorsOf(file.root));
  const { state } = readForeignAdapter(tensors, "x", { promptLength: 2 });
  const { layout, params } = state;
  if (!params.every(Number.isFinite) || params.length !== layout.length)
    throw new Error("it holds numbers that are none");
  const target = { gateSharing: "per-head", gateActivation: layout.gateActivation };
  const { state: wide } = convertGates(state, target);
  const dialect = layout.gateActivation === "tanh" ? "original" : "litgpt";
  const { state: again } = readForeignAdapter(foreignTensors(wide, dialect), "y", {
    promptLength: layout.promptLength,
  });
  deepStrictEqual([layersOf(again.layout), again.params], [layersOf(layout), wide.params]);
}
