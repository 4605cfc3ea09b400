/**
 * Bases that rotate only the first r numbers of each head, as pairs (i, i + r/2): Phi-3, StableLM, GPT-NeoX. Engines pair (i, i + d/2)
 * over a whole head, so the rows of queries and keys are put where their pairs are, which changes no product of the two; what
 * does not rotate is turned by an angle of 0.
 */
import type { ModelConfig } from "../config.ts";
import type { WeightPart } from "../weight_sources.ts";

/**
 * Where the stored rows of a projection go whose first `heads` heads are queries or keys; rows behind those keep their
 * places. Undefined if whole heads rotate.
 */
export function rotaryRows(
  { headDim: d, rotaryDim: r = d }: Pick<ModelConfig, "headDim" | "rotaryDim">,
  heads: number,
): WeightPart["rowTo"] {
  if (r === d) return undefined;
  const inHead = (row: number): number => {
    if (row < r / 2) return row;
    if (row < r) return row - r / 2 + d / 2;
    const rest = row - r;
    return rest < (d - r) / 2 ? r / 2 + rest : d / 2 + r / 2 + rest - (d - r) / 2;
  };
  return (stored) => (stored < heads * d ? stored - (stored % d) + inHead(stored % d) : stored);
}
