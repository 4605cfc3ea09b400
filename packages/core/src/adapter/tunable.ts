/** Which bases an adapter can tune, and how wide their linear maps are. */
import { InputError } from "../errors.ts";
import type { ModelConfig } from "../model/config.ts";
import { architectureOf } from "../model/families/families.ts";
import type { AdaptedBase, ShapeChoice } from "./layout.ts";

/** What tuning depends on in a base. */
export type TunableModel = Pick<
  ModelConfig,
  | "modelType"
  | "hiddenSize"
  | "heads"
  | "outputNorms"
  | "residualScale"
  | "scoreScale"
  | "experts"
  | "deltaNet"
  | "outputGate"
> &
  Partial<Pick<ModelConfig, "intermediateSize" | "kvHeads" | "headDim" | "vocabSize" | "logitCap">>;

/** Throws an `InputError` for a base, or a shape, whose tuning would not be what LLaMA-Adapter V2 means. */
export function checkTunable({ tuning, vision, outputBiasTimes }: ShapeChoice, model: TunableModel): void {
  const { norm, activation, promptsJoin } = architectureOf(model);
  const found = [
    norm === "layer" && "its norms are LayerNorms",
    activation !== "swiglu" && activation !== "geglu" && "its MLP has no gate",
    promptsJoin === "after-output" && "prompts join behind its output projection",
    model.outputNorms && "norms stand behind its attention and MLP",
    model.residualScale !== undefined && model.residualScale !== 1 && "it multiplies what its layers add",
    model.scoreScale !== undefined && "it has a scale of scores of its own",
    model.experts && "a router chooses its experts",
    model.deltaNet && "it has delta nets",
    model.outputGate && "its attention has gates",
    tuning?.head && model.logitCap !== undefined && "it caps logits, which tuned heads do not know",
  ].filter((problem) => typeof problem === "string");
  if (found.length > 0) {
    const needed = "needed are the layers of Llama: train prompts and gates alone on it";
    throw new InputError(`Cannot tune a ${model.modelType} base`, `${found.join(", ")}, ${needed}`);
  }
  const attempt = "Cannot make an adapter that tunes its base";
  if (vision) throw new InputError(attempt, "it has images too, and only one of both is possible: leave one out");
  if (outputBiasTimes === "twice") throw new InputError(attempt, "it adds the output bias twice: add it once");
  if (tuning && tuning.maps.length === 0 && !tuning.norms && !tuning.head) {
    throw new InputError(attempt, "it tunes no map, no norm and no head: name some maps, or tune the norms");
  }
}

/** Outputs of each linear map of a layer. Throws a RangeError if the model does not say its sizes. */
export function tunableOutputs(model: TunableModel): NonNullable<AdaptedBase["outputs"]> {
  const { hiddenSize, intermediateSize, heads, kvHeads, headDim, vocabSize } = model;
  if (intermediateSize === undefined || kvHeads === undefined || headDim === undefined || vocabSize === undefined) {
    throw new RangeError("Cannot tune a base: its config lacks intermediateSize, kvHeads, headDim or vocabSize");
  }
  const [q, kv] = [heads * headDim, kvHeads * headDim];
  const inner = { gate: intermediateSize, up: intermediateSize };
  return { q, k: kv, v: kv, o: hiddenSize, ...inner, down: hiddenSize, head: vocabSize };
}
