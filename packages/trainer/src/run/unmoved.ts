/** What training left as it was: litgpt's adapters trained for years with prompts that got no gradient, and nobody saw it. */
import { type ParameterTable, partNumbers, type TrainedPart } from "@zerogate/core";

/**
 * Parts whose numbers are all what they were at the start of the run, in words, for example `the prompts of layers 4, 5`;
 * nothing if everything has moved.
 */
export function unmovedParts(table: ParameterTable, before: Float32Array, after: Float32Array): string[] {
  const isStill = (part: TrainedPart) => {
    const now = partNumbers(part, after);
    return partNumbers(part, before).every((value, i) => value === now[i]);
  };
  return [...new Set(table.map(({ part }) => part))].flatMap((what) => {
    const plural = what.endsWith("s") ? `${what}es` : `${what}s`;
    const parts = table.filter(({ part }) => part === what);
    const still = parts.filter(isStill);
    if (still.length === parts.length) return [`all ${plural}`];
    const layers = still.flatMap(({ layer }) => layer ?? []);
    const others = still.flatMap(({ layer, name }) => (layer === undefined ? [name] : []));
    if (layers.length === 0) return others;
    return [`the ${plural} of ${layers.length > 1 ? "layers" : "layer"} ${layers.join(", ")}`, ...others];
  });
}
