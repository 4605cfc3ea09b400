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
import { checkLengths } from "../../shape.ts";
import { ADDEND_LIMIT } from "../../sum/fixed_point.ts";
import type { AdapterState } from "../kinds/kind.ts";
import type { AdaptedBase, VisionShape } from "../layout.ts";
import { partNumbers, type TrainedPart } from "../parameters.ts";

/** The file of an adapter folder that has what is trained for images. */
export const VISION_FILE = "vision.safetensors";

/** The four parts of a projection, in the order of the flat vector. */
export function projectionParts(
  { featureSize: C, projectionSize: h }: VisionShape,
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
function projectionNumbers({ layout }: AdapterState, vector: Float32Array) {
  const numbers = (name: ProjectionPart): Float32Array => {
    const part = layout.table.find((own) => own.name === name);
    if (!part) throw new RangeError(`Cannot project images: the adapter has no ${name}`);
    return partNumbers(part, vector);
  };
  return {
    w1_hC: numbers("proj.fc1.weight"),
    b1_h: numbers("proj.fc1.bias"),
    w2_Dh: numbers("proj.fc2.weight"),
    b2_D: numbers("proj.fc2.bias"),
  };
}

/** Returns a of one image in float64. */
function hidden(
  { w1_hC, b1_h }: { w1_hC: Float32Array; b1_h: Float32Array },
  features_NC: Float32Array,
  n: number,
  { C, h }: { C: number; h: number },
): Float64Array {
  const a_h = new Float64Array(h);
  for (let j = 0; j < h; j++) {
    let sum = b1_h[j];
    for (let c = 0, w = j * C, f = n * C; c < C; c++) sum += w1_hC[w + c] * features_NC[f + c];
    a_h[j] = sum;
  }
  return a_h;
}

/** Returns the vector of each image, `[N, D]`. */
export function addedToPrompts(
  adapter: AdapterState,
  { featureSize: C, projectionSize: h }: VisionShape,
  features_NC: Float32Array,
): Float32Array {
  const { hiddenSize: D } = adapter.layout.base;
  const N = features_NC.length / C;
  checkLengths({ features_NC }, { N: Math.floor(N), C });
  const { w1_hC, b1_h, w2_Dh, b2_D } = projectionNumbers(adapter, adapter.params);
  const added_ND = new Float32Array(N * D);
  for (let n = 0; n < N; n++) {
    const unit_h = hidden({ w1_hC, b1_h }, features_NC, n, { C, h }).map(gelu);
    for (let i = 0; i < D; i++) {
      let sum = b2_D[i];
      for (let j = 0, w = i * h; j < h; j++) sum += w2_Dh[w + j] * unit_h[j];
      added_ND[n * D + i] = sum;
    }
  }
  return added_ND;
}

/**
 *   db2 = Σ_n dI,   dW2 = Σ_n dI·gelu(a)ᵀ,   da = (W2ᵀ·dI) ∘ gelu'(a),   db1 = Σ_n da,   dW1 = Σ_n da·fᵀ
 */
export function addedToPromptsBackward(
  adapter: AdapterState,
  { featureSize: C, projectionSize: h }: VisionShape,
  { features_NC, dadded_ND }: { features_NC: Float32Array; dadded_ND: Float64Array },
  gradient: Float32Array,
): void {
  const { hiddenSize: D } = adapter.layout.base;
  const N = features_NC.length / C;
  const { w1_hC, b1_h, w2_Dh } = projectionNumbers(adapter, adapter.params);
  const sums = { w1: new Float64Array(h * C), b1: new Float64Array(h), w2: new Float64Array(D * h) };
  const db2 = new Float64Array(D);
  for (let n = 0; n < N; n++) {
    const a_h = hidden({ w1_hC, b1_h }, features_NC, n, { C, h });
    const unit_h = a_h.map(gelu);
    const da_h = new Float64Array(h);
    for (let i = 0; i < D; i++) {
      const d = dadded_ND[n * D + i];
      db2[i] += d;
      for (let j = 0, w = i * h; j < h; j++) {
        sums.w2[w + j] += d * unit_h[j];
        da_h[j] += d * w2_Dh[w + j];
      }
    }
    for (let j = 0; j < h; j++) {
      const da = da_h[j] * dgelu(a_h[j]);
      sums.b1[j] += da;
      for (let c = 0, w = j * C, f = n * C; c < C; c++) sums.w1[w + c] += da * features_NC[f + c];
    }
  }
  const own = projectionNumbers(adapter, gradient);
  own.w1_hC.set(sums.w1);
  own.b1_h.set(sums.b1);
  own.w2_Dh.set(sums.w2);
  own.b2_D.set(db2);
}
