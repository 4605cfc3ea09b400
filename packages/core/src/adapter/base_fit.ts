/** Whether an adapter is of the base that it is used on. */
import type { ModelConfig } from "../model/config.ts";
import { type AdapterLayout, adaptedBase, moduleNames } from "./layout.ts";

/** Lists how the base that an adapter was trained on differs from this one; empty if the adapter fits. */
export function baseProblems({ base, shape }: AdapterLayout, model: ModelConfig): string[] {
  const problems: string[] = [];
  const compare = (what: string, adapter: number, own: number) => {
    if (adapter !== own) problems.push(`the adapter is for a base with ${what} ${adapter}, this one has ${own}`);
  };
  const names = moduleNames(base);
  if (names !== moduleNames(adaptedBase(model))) {
    problems.push(`the adapter is for a base with ${names}, this one is a ${model.modelType}`);
  }
  const { layers, attentionLayers } = adaptedBase(model);
  const topOfFile = (attentionLayers?.at(-1) ?? layers - 1) + 1; // what a file names last ends the base that it implies
  compare("layers", base.layers, base.layers === topOfFile ? topOfFile : layers);
  compare("hidden size", base.hiddenSize, model.hiddenSize);
  if (shape.gateSharing === "per-head") compare("query heads", base.heads, model.heads);
  return problems;
}
