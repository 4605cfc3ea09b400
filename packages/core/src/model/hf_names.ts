/** The tensors of a Hugging Face checkpoint that a model needs, by the names of its family. */
import type { DType, WeightDType } from "../engine/engine.ts";
import { tensorBytes } from "../formats/scaled.ts";
import type { ModelConfig } from "./config.ts";
import { architectureOf, familyOf } from "./families/families.ts";
import type { WeightSource } from "./weight_sources.ts";
import { isLinearMap } from "./weights.ts";

/** All weights that this model needs, in the order of use in a forward pass. */
export function weightSources(config: ModelConfig): WeightSource[] {
  return familyOf(config).weights(config);
}

/**
 * Counts the numbers of a base; a tied head counts once, as in PyTorch.
 *
 * @example
 * `${(parameterCount(config) / 1e9).toFixed(1)} B parameters`;
 */
export function parameterCount(config: ModelConfig): number {
  return weightSources(config).reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b), 0);
}

/** Numbers of the linear maps of all layers, which are what `storage` and packing are about. */
export function linearMapCount(config: ModelConfig): number {
  const maps = weightSources(config).filter(({ name }) => isLinearMap(name));
  return maps.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b), 0);
}

/** Bytes of a base whose weights are held in `dtype`, its linear maps in `maps`. */
export function baseBytes(config: ModelConfig, dtype: DType, maps: WeightDType = dtype): number {
  return weightSources(config).reduce(
    (sum, { name, shape }) => sum + tensorBytes(isLinearMap(name) ? maps : dtype, shape),
    0,
  );
}

/** Numbers of the linear maps that one token meets: of experts those that the router chooses. */
export function metMapCount(config: ModelConfig): number {
  const { experts } = config;
  const routed = new Set(
    weightSources(config).flatMap(({ name }) => (name.endsWith(".router") ? name.split(".")[1] : [])),
  );
  const share = (name: string) => {
    const [, layer, map] = name.split(".");
    const isOfExperts = experts && routed.has(layer) && (map === "gateUp" || map === "down");
    return isOfExperts ? experts.perToken / experts.count : 1;
  };
  const maps = weightSources(config).filter(({ name }) => isLinearMap(name));
  return maps.reduce((sum, { name, shape }) => sum + share(name) * shape.reduce((a, b) => a * b), 0);
}

/** The names under which a checkpoint may hold this tensor, the usual one first. */
export function acceptedNames(hfName: string, config: Pick<ModelConfig, "modelType">): readonly string[] {
  const prefix = `${architectureOf(config).modules.root}.`;
  return hfName.startsWith(prefix) ? [hfName, hfName.slice(prefix.length)] : [hfName];
}
