/** What training left as it was: litgpt's adapters trained for years with prompts that got no gradient, and nobody saw it. */
import type { AdapterLayout } from "@zerogate/core";

/**
 * Prompts and gates whose numbers are all what they were at the start of the run, in words, for example
 * `the prompts of layers 4, 5`; nothing where everything has moved.
 */
export function unmovedParts(
  layout: Pick<AdapterLayout, "places" | "gateLength">,
  before: Float32Array,
  after: Float32Array,
): string[] {
  const isSame = (from: number, to: number) => {
    for (let i = from; i < to; i++) if (before[i] !== after[i]) return false;
    return true;
  };
  const { places, gateLength } = layout;
  const prompts = places.filter(({ prompt, gate }) => isSame(prompt, gate));
  const gates = places.filter(({ gate }) => isSame(gate, gate + gateLength));
  return [["prompts", prompts] as const, ["gates", gates] as const].flatMap(([what, still]) => {
    if (still.length === 0) return [];
    if (still.length === places.length) return [`all ${what}`];
    return [`the ${what} of ${still.length > 1 ? "layers" : "layer"} ${still.map(({ layer }) => layer).join(", ")}`];
  });
}
