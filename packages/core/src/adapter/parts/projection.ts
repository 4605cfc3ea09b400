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

/**
 * Returns `W·x (+ b)` of one image in float64. Four sums at a time: each alone waits for its own last addition.
 */
function mapped(w_NK: Float32Array, x_K: Float32Array | Float64Array, b_N: Float32Array, at: number): Float64Array {
  const N = b_N.length;
  const K = w_NK.length / N;
  const y_N = new Float64Array(N);
  let n = 0;
  for (; n + 4 <= N; n += 4) {
    const w = n * K;
    let [s0, s1, s2, s3]: number[] = [b_N[n], b_N[n + 1], b_N[n + 2], b_N[n + 3]];
    for (let k = 0; k < K; k++) {
      const x = x_K[at + k];
      s0 += w_NK[w + k] * x;
      s1 += w_NK[w + K + k] * x;
      s2 += w_NK[w + 2 * K + k] * x;
      s3 += w_NK[w + 3 * K + k] * x;
    }
    y_N[n] = s0;
    y_N[n + 1] = s1;
    y_N[n + 2] = s2;
    y_N[n + 3] = s3;
  }
  for (; n < N; n++) {
    let sum = b_N[n];
    for (let k = 0; k < K; k++) sum += w_NK[n * K + k] * x_K[at + k];
    y_N[n] = sum;
  }
  return y_N;
}

/** Returns the vector of each image, `[N, D]`. */
export function addedToPrompts(
  adapter: AdapterState,
  { featureSize: C }: ProjectionShape,
  features_NC: Float32Array,
): Float32Array {
  const { hiddenSize: D } = adapter.layout.base;
  const N = features_NC.length / C;
  checkLengths({ features_NC }, { N: Math.floor(N), C });
  const { w1_hC, b1_h, w2_Dh, b2_D } = projectionNumbers(adapter, adapter.params);
  const added_ND = new Float32Array(N * D);
  for (let n = 0; n < N; n++) {
    const unit_h = mapped(w1_hC, features_NC, b1_h, n * C).map(gelu);
    added_ND.set(mapped(w2_Dh, unit_h, b2_D, 0), n * D);
  }
  return added_ND;
}

/**
 *   db2 = Σ_n dI,   dW2 = Σ_n dI·gelu(a)ᵀ,   da = (W2ᵀ·dI) ∘ gelu'(a),   db1 = Σ_n da,   dW1 = Σ_n da·fᵀ
 */
export function addedToPromptsBackward(
  adapter: AdapterState,
  { featureSize: C, projectionSize: h }: ProjectionShape,
  { features_NC, dadded_ND }: { features_NC: Float32Array; dadded_ND: Float64Array },
  gradient: Float32Array,
): void {
  const { hiddenSize: D } = adapter.layout.base;
  const N = features_NC.length / C;
  const { w1_hC, b1_h, w2_Dh } = projectionNumbers(adapter, adapter.params);
  const [dw1_hC, db1_h, dw2_Dh, db2_D, da_Nh] = [h * C, h, D * h, D, N * h].map((length) => new Float64Array(length));
  for (let n = 0; n < N; n++) {
    const a_h = mapped(w1_hC, features_NC, b1_h, n * C);
    const unit_h = a_h.map(gelu);
    const da_h = new Float64Array(h);
    for (let i = 0; i < D; i++) {
      const d = dadded_ND[n * D + i];
      db2_D[i] += d;
      for (let j = 0, w = i * h; j < h; j++) {
        dw2_Dh[w + j] += d * unit_h[j];
        da_h[j] += d * w2_Dh[w + j];
      }
    }
    for (let j = 0; j < h; j++) {
      const da = da_h[j] * dgelu(a_h[j]);
      da_Nh[n * h + j] = da;
      db1_h[j] += da;
    }
  }
  addOuterProducts(dw1_hC, da_Nh, features_NC, { N, h, C });
  const own = projectionNumbers(adapter, gradient);
  own.w1_hC.set(dw1_hC);
  own.b1_h.set(db1_h);
  own.w2_Dh.set(dw2_Dh);
  own.b2_D.set(db2_D);
}

/** `dw[j] += Σ_n da[n, j]·f[n]`, images ascending, two at a time. */
function addOuterProducts(
  dw_hC: Float64Array,
  da_Nh: Float64Array,
  f_NC: Float32Array,
  { N, h, C }: { N: number; h: number; C: number },
): void {
  for (let j = 0; j < h; j++) {
    const w = j * C;
    let n = 0;
    for (; n + 2 <= N; n += 2) {
      const [d0, d1, f] = [da_Nh[n * h + j], da_Nh[(n + 1) * h + j], n * C];
      for (let c = 0; c < C; c++) dw_hC[w + c] = dw_hC[w + c] + d0 * f_NC[f + c] + d1 * f_NC[f + C + c];
    }
    if (n < N) for (let c = 0; c < C; c++) dw_hC[w + c] += da_Nh[n * h + j] * f_NC[n * C + c];
  }
}
