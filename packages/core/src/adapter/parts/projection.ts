/**
 * The projection of images into a text adapter (arXiv:2303.16199 §3.4; spec of images §3): of the features f of an image it
 * makes one vector, which is added to every prompt of every adapted layer.
 *
 *   a = W1·f + b1        I = W2·gelu(a) + b2        W1 [h, C] starts as N(0, 1/C), all else as 0: a text adapter
 *
 * Some 0.6 million numbers at most, on the host and in float64 with sums in ascending order: the same bits on every engine.
 * N images · C features · h units · D hidden size.
 */
import { dgelu, gelu } from "../../kernels/gelu.ts";
import { plainWide, type WideArithmetic, type WideMap, type WideSize } from "../../kernels/wide_linear.ts";
import { checkLengths } from "../../shape.ts";
import { ADDEND_LIMIT } from "../../sum/fixed_point.ts";
import type { AdapterState } from "../kinds/kind.ts";
import type { AdaptedBase, ProjectionShape } from "../layout.ts";
import { partNumbers, type TrainedPart } from "../parameters.ts";

/** The file of an adapter folder that has what is trained for images. */
export const VISION_FILE = "vision.safetensors";

/** The four parts of a projection, in the order of the flat vector. */
export function projectionParts(
  { featureSize: C, projectionSize: h }: ProjectionShape,
  { layers, hiddenSize: D }: Pick<AdaptedBase, "layers" | "hiddenSize">,
): Omit<TrainedPart, "offset">[] {
  const part = (name: ProjectionPart, shape: readonly number[]): Omit<TrainedPart, "offset"> => ({
    name,
    part: "projection",
    layer: undefined,
    shape,
    // The streams below belong to the layers' prompts.
    init: name === "proj.fc1.weight" ? { normal: 1 / Math.sqrt(C), stream: layers } : "zeros",
    decays: shape.length > 1 ? ["all", "original"] : ["all"],
    learningRateFactor: 1,
    group: 0,
    gradientLimit: ADDEND_LIMIT,
    file: VISION_FILE,
    fileName: name,
  });
  return [
    part("proj.fc1.weight", [h, C]),
    part("proj.fc1.bias", [h]),
    part("proj.fc2.weight", [D, h]),
    part("proj.fc2.bias", [D]),
  ];
}

type ProjectionPart = "proj.fc1.weight" | "proj.fc1.bias" | "proj.fc2.weight" | "proj.fc2.bias";

/** Numbers of the four parts in a flat vector: parameters, or their gradient. */
function projectionNumbers({ layout }: AdapterState, vector: Float32Array): { fc1: WideMap; fc2: WideMap } {
  const numbers = (name: ProjectionPart): Float32Array => {
    const part = layout.table.find((own) => own.name === name);
    if (!part) throw new RangeError(`Cannot project images: the adapter has no ${name}`);
    return partNumbers(part, vector);
  };
  return {
    fc1: { weight: numbers("proj.fc1.weight"), bias: numbers("proj.fc1.bias") },
    fc2: { weight: numbers("proj.fc2.weight"), bias: numbers("proj.fc2.bias") },
  };
}

/** Returns the vector of each image, `[N, D]`. */
export function addedToPrompts(
  adapter: AdapterState,
  { featureSize: C, projectionSize: h }: ProjectionShape,
  features_NC: Float32Array,
  { wideLinear }: WideArithmetic = plainWide,
): Float32Array {
  const { hiddenSize: D } = adapter.layout.base;
  const N = features_NC.length / C;
  checkLengths({ features_NC }, { N: Math.floor(N), C });
  const { fc1, fc2 } = projectionNumbers(adapter, adapter.params);
  const a_Nh = wideLinear(new Float64Array(features_NC), fc1, { T: N, N: h, K: C });
  return new Float32Array(wideLinear(a_Nh.map(gelu), fc2, { T: N, N: D, K: h }));
}

/**
 *   db2 = Σ_n dI,   dW2 = Σ_n dI·gelu(a)ᵀ,   da = (W2ᵀ·dI) ∘ gelu'(a),   db1 = Σ_n da,   dW1 = Σ_n da·fᵀ
 */
export function addedToPromptsBackward(
  adapter: AdapterState,
  { featureSize: C, projectionSize: h }: ProjectionShape,
  { features_NC, dadded_ND }: { features_NC: Float32Array; dadded_ND: Float64Array },
  gradient: Float32Array,
  { wideLinear, wideLinearBackward }: WideArithmetic = plainWide,
): void {
  const { hiddenSize: D } = adapter.layout.base;
  const N = features_NC.length / C;
  const { fc1, fc2 } = projectionNumbers(adapter, adapter.params);
  const [into, out] = [
    { T: N, N: h, K: C },
    { T: N, N: D, K: h },
  ];
  const wide_NC = new Float64Array(features_NC);
  const a_Nh = wideLinear(wide_NC, fc1, into);
  const dfc2 = zeros(out);
  const last = { dy_TN: dadded_ND, x_TK: a_Nh.map(gelu), weight: fc2.weight };
  const dunit_Nh = wideLinearBackward(dfc2, last, out);
  const da_Nh = dunit_Nh.map((d, i) => d * dgelu(a_Nh[i]));
  const dfc1 = zeros(into);
  wideLinearBackward(dfc1, { dy_TN: da_Nh, x_TK: wide_NC, weight: fc1.weight }, into);
  const own = projectionNumbers(adapter, gradient);
  own.fc1.weight.set(dfc1.weight);
  own.fc1.bias.set(dfc1.bias);
  own.fc2.weight.set(dfc2.weight);
  own.fc2.bias.set(dfc2.bias);
}

const zeros = ({ N, K }: WideSize): WideMap<Float64Array> => {
  return { weight: new Float64Array(N * K), bias: new Float64Array(N) };
};
