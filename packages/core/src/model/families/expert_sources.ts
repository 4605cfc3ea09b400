/** The tensors of a layer whose MLP is made of experts: a file has each of their maps by itself. */
import type { ModelConfig } from "../config.ts";
import { stacked, type WeightSource } from "../weight_sources.ts";
import { weightNames } from "../weights.ts";

/** What a family calls them, in a layer. */
export interface ExpertNames {
  readonly router: string;
  /** Of expert e: its maps are called so in it. */
  readonly expert: (e: number) => string;
  readonly gate: string;
  readonly up: string;
  readonly down: string;
}

/** Whether layer i has experts. */
export function isRouted({ experts }: Pick<ModelConfig, "experts">, i: number): boolean {
  return experts !== undefined && !experts.denseLayers.includes(i);
}

/** Router and maps of layer i, whose tensors begin with `layer`. */
export function expertSources(
  { hiddenSize: D, experts }: ModelConfig,
  i: number,
  layer: string,
  names: ExpertNames,
): WeightSource[] {
  if (!experts) return [];
  const { count, intermediateSize: F } = experts;
  const all = Array.from({ length: count }, (_, e) => `${layer}.${names.expert(e)}`);
  const map = (expert: string, name: string, shape: readonly number[]) => ({
    hfName: `${expert}.${name}.weight`,
    shape,
  });
  const gateUps = all.flatMap((expert) => [map(expert, names.gate, [F, D]), map(expert, names.up, [F, D])]);
  const downs = all.map((expert) => map(expert, names.down, [D, F]));
  return [
    stacked(weightNames.layer(i, "router"), { hfName: `${layer}.${names.router}.weight`, shape: [count, D] }),
    stacked(weightNames.layer(i, "gateUp"), ...gateUps),
    stacked(weightNames.layer(i, "down"), ...downs),
  ];
}
