/** Which tensors of a Hugging Face checkpoint form a weight of ours. */
import type { ModelConfig } from "./config.ts";
import { weightNames } from "./weights.ts";

/** One tensor of the checkpoint. Files of a bare model (`LlamaModel`, `GPT2Model`) leave out the leading `model.` or `transformer.`. */
export interface WeightPart {
  readonly hfName: string;
  /** As it is stored. */
  readonly shape: readonly number[];
  /**
   * What a loader does to the numbers, so that engines know one kind of linear map and of norm: `transpose` a map that is
   * stored `[in, out]` (transformers' Conv1D), or `add-one` in float32 to a norm that is stored as its distance from 1.
   */
  readonly change?: "transpose" | "add-one";
  /** What the numbers are multiplied by, in float32. @default 1 */
  readonly times?: number;
  /** Where a stored row goes among the rows of its part, if not to its own place: every row has one. Not with `transpose`. */
  readonly rowTo?: (stored: number) => number;
  /** The tensor that is the same one if this one is missing: a tied head may be stored instead of the embedding. */
  readonly standIn?: string;
}

/** One weight of ours: the rows of its parts, stacked in order. */
export interface WeightSource {
  readonly name: string;
  readonly shape: readonly number[];
  readonly parts: readonly WeightPart[];
}

/** What nearly all families call their head. */
export const HEAD = "lm_head.weight";

/** The embedding; the head of a tied model may stand in for it. */
export function embeddingSource(
  { tiedEmbeddings, vocabSize, hiddenSize }: ModelConfig,
  hfName: string,
  head: string = HEAD,
): WeightSource {
  const part = { hfName, shape: [vocabSize, hiddenSize] };
  return stacked(weightNames.embed, tiedEmbeddings ? { ...part, standIn: head } : part);
}

/** The head of a model that is not tied. */
export function headSource(
  { tiedEmbeddings, vocabSize, hiddenSize }: ModelConfig,
  head: string = HEAD,
): WeightSource[] {
  if (tiedEmbeddings) return [];
  const part = { hfName: head, shape: [vocabSize, hiddenSize] };
  return [stacked(weightNames.head, head === HEAD ? part : { ...part, standIn: HEAD })];
}

/** The weight `name` of these parts, one below the other. */
export function stacked(name: string, ...parts: readonly WeightPart[]): WeightSource {
  const shapes = parts.map(({ shape, change }) => (change === "transpose" ? shape.toReversed() : shape));
  const rows = shapes.reduce((sum, [own = 0]) => sum + own, 0);
  return { name, shape: [rows, ...(shapes[0]?.slice(1) ?? [])], parts };
}
