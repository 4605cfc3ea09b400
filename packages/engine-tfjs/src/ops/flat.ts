/**
 * The flat operations of core's table, each a composite of TensorFlow.js's own: of the values of its row by name, to its outputs
 * by name. A shape's first size is the rows of a tensor, the others are its columns; `[T]` is one column.
 */
import type { FlatName, Shape, Sizes } from "@zerogate/core/engine";
import type { Maths, Tensor } from "../tf.ts";

type Tensors = Readonly<Record<string, Tensor>>;
/** A method, so that each may name the values and sizes that it takes; core's table has them all. */
export type Composite = { run(maths: Maths, values: Tensors, size: Sizes): Tensors }["run"];

/** The derivative of a unit is a composite too: of its argument. */
type Unit = (maths: Maths, a: Tensor) => Tensor;

/** tanh u,  u = √(2/π)·(a + 0.044715 a³). */
const [ROOT, CUBIC] = [Math.sqrt(2 / Math.PI), 0.044715];
const tanhOf: Unit = ({ tf }, a) => tf.tanh(tf.mul(tf.mul(a, tf.add(tf.mul(tf.square(a), CUBIC), 1)), ROOT));

/** gelu(a) = a/2 · (1 + tanh u), the tanh approximation (arXiv:1606.08415 §2). */
const gelu: Unit = (maths, a) => maths.tf.mul(maths.tf.mul(a, 0.5), maths.tf.add(tanhOf(maths, a), 1));

/** gelu'(a) = (1 + tanh u)/2 + a/2 · (1 − tanh² u) · √(2/π)·(1 + 3·0.044715 a²). */
const geluSlope: Unit = (maths, a) => {
  const { tf } = maths;
  const tanh = tanhOf(maths, a);
  const inner = tf.mul(tf.add(tf.mul(tf.square(a), 3 * CUBIC), 1), ROOT);
  const bend = tf.mul(tf.mul(tf.mul(a, 0.5), tf.sub(1, tf.square(tanh))), inner);
  return tf.add(tf.mul(tf.add(tanh, 1), 0.5), bend);
};

/**
 * Φ(a) = (1 + erf(z))/2, z = a/√2: near 0 a polynomial of erf, beyond it one of log erfc. tf.erf itself is off by 1.5e-7, and
 * not all backends have it.
 */
const normal: Unit = ({ tf }, a) => {
  const z = tf.mul(a, Math.SQRT1_2);
  const [s, t] = [tf.square(z), tf.abs(z)];
  const polynomial = (x: Tensor, [first = 0, ...rest]: readonly number[]) =>
    rest.reduce((sum: Tensor, term) => tf.add(tf.mul(sum, x), term), tf.fill(x.shape, first));
  const low = polynomial(
    s,
    [-5.96761703e-4, 4.99119423e-3, -2.67681349e-2, 1.12819925e-1, -3.76125336e-1, 1.28379166e-1],
  );
  const near = tf.add(tf.mul(tf.add(tf.mul(low, z), z), 0.5), 0.5);
  const high = polynomial(
    t,
    [-1.7285347e-5, 3.83197126e-4, -3.88396438e-3, 2.42546219e-2, -1.06777877e-1, -6.34846687e-1, -1.28717512e-1],
  );
  const tail = tf.mul(tf.exp(tf.sub(tf.mul(high, t), t)), 0.5);
  const far = tf.where(tf.less(a, 0), tail, tf.sub(1, tail));
  return tf.where(tf.greater(t, 0.927734375), far, near);
};

/** silu(a) = a·σ(a). */
const silu: Unit = ({ tf }, a) => tf.mul(a, tf.sigmoid(a));

/** silu'(a) = σ(a)·(1 + a·(1 − σ(a))). */
const siluSlope: Unit = ({ tf }, a) => {
  const sigmoid = tf.sigmoid(a);
  return tf.mul(sigmoid, tf.add(tf.mul(a, tf.sub(1, sigmoid)), 1));
};

type GatedSize = Readonly<{ T: number; F: number }>;
function halves({ tf }: Maths, gateUp: Tensor, { T, F }: GatedSize): [Tensor, Tensor] {
  return [tf.slice(gateUp, [0, 0], [T, F]), tf.slice(gateUp, [0, F], [T, F])];
}

/** unit(a)·b over merged rows `[a | b]` (arXiv:2002.05202). */
function gated(unit: Unit) {
  return (maths: Maths, { gateUp }: { gateUp: Tensor }, size: GatedSize): Tensors => {
    const [a, b] = halves(maths, gateUp, size);
    return { y_TF: maths.tf.mul(unit(maths, a), b) };
  };
}
function gatedBackward(unit: Unit, slope: Unit) {
  return (maths: Maths, { dy_TF, gateUp }: { dy_TF: Tensor; gateUp: Tensor }, size: GatedSize): Tensors => {
    const { tf } = maths;
    const [a, b] = halves(maths, gateUp, size);
    const da = tf.mul(tf.mul(dy_TF, b), slope(maths, a));
    return { dgateUp: tf.concat([da, tf.mul(dy_TF, unit(maths, a))], 1) };
  };
}

const plus = ({ tf }: Maths, y: Tensor, residual: Tensor | undefined) => (residual ? tf.add(y, residual) : y);

type BySet = Readonly<{ rowOf_T: Tensor }>;
type Vectors = BySet & Readonly<{ u_TN: Tensor; scale_SN: Tensor; bias_SN: Tensor }>;

/** The vector of each token's set, `[T, N]`; `without` for a token of none, set -1. */
const ofSet = ({ tf }: Maths, vectors_SN: Tensor, rowOf_T: Tensor, without: number) => {
  const [, N = 0] = vectors_SN.shape;
  const all = tf.concat([tf.tensor2d(new Float32Array(N).fill(without), [1, N]), vectors_SN], 0);
  return tf.gather(all, tf.cast(tf.add(rowOf_T, 1), "int32"));
};

/** Σ over the tokens of each set, `[S, N]`. */
function sumBySet({ tf }: Maths, x_TN: Tensor, rowOf_T: Tensor, { T, S }: Readonly<{ T: number; S: number }>): Tensor {
  const sets = tf.reshape(
    tf.tensor1d(
      Int32Array.from({ length: S }, (_, s) => s),
      "int32",
    ),
    [S, 1],
  );
  return tf.matMul(tf.cast(tf.equal(sets, tf.reshape(rowOf_T, [1, T])), "float32"), x_TN);
}

type NormGradient = Readonly<{ dy_TD: Tensor; x_TD: Tensor; weight_D: Tensor; residual_TD?: Tensor }>;

export const flat: { readonly [Name in FlatName]: Composite } = {
  gatherRows: ({ tf }, { x_TD, rows_R }: { x_TD: Tensor; rows_R: Tensor }) => ({ y_RD: tf.gather(x_TD, rows_R) }),
  scatterRows(
    { tf },
    { dy_RD, rows_R }: { dy_RD: Tensor; rows_R: Tensor },
    { T, D, R }: { T: number; D: number; R: number },
  ) {
    return { dx_TD: tf.scatterND(tf.reshape(rows_R, [R, 1]), dy_RD, [T, D]) };
  },

  splitColumns({ tf }, { x_TX }: { x_TX: Tensor }, { T, A, B }: { T: number; A: number; B: number }) {
    return { a_TA: tf.slice(x_TX, [0, 0], [T, A]), b_TB: tf.slice(x_TX, [0, A], [T, B]) };
  },
  joinColumns: ({ tf }, { a_TA, b_TB }: { a_TA: Tensor; b_TB: Tensor }) => ({ x_TX: tf.concat([a_TA, b_TB], 1) }),

  scaleRows: ({ tf }, { x_TD, factor_T }: { x_TD: Tensor; factor_T: Tensor }) => ({ y_TD: tf.mul(x_TD, factor_T) }),
  scaleRowsBackward: ({ tf }, input: { dy_TD: Tensor; x_TD: Tensor; factor_T: Tensor }) => ({
    dx_TD: tf.mul(input.dy_TD, input.factor_T),
    dfactor_T: tf.sum(tf.mul(input.dy_TD, input.x_TD), 1),
  }),
  sigmoidGate: ({ tf }, { x_TF, gate_TF }: { x_TF: Tensor; gate_TF: Tensor }) => ({
    y_TF: tf.mul(x_TF, tf.sigmoid(gate_TF)),
  }),
  sigmoidGateBackward({ tf }, { dy_TF, x_TF, gate_TF }: { dy_TF: Tensor; x_TF: Tensor; gate_TF: Tensor }) {
    const open = tf.sigmoid(gate_TF);
    const slope = tf.mul(open, tf.sub(1, open));
    return { dx_TF: tf.mul(dy_TF, open), dgate_TF: tf.mul(tf.mul(dy_TF, x_TF), slope) };
  },
  addScaled: ({ tf }, { x_TD, y_TD }: { x_TD: Tensor; y_TD: Tensor }, { factor }: { factor: number }) => ({
    sum_TD: tf.add(x_TD, tf.mul(y_TD, factor)),
  }),

  /** RMSNorm (arXiv:1910.07467 eq. 4):  rstd = 1 / √(mean(x²) + eps),  y = x · rstd · weight. */
  rmsNorm({ tf }, { x_TD, weight_D }: { x_TD: Tensor; weight_D: Tensor }, { eps }: { eps: number }) {
    const rstd_T = tf.rsqrt(tf.add(tf.mean(tf.square(x_TD), 1, true), eps));
    return { y_TD: tf.mul(tf.mul(x_TD, rstd_T), weight_D), rstd_T };
  },
  /** With x̂ = x·rstd and g = dy·weight:  dx = rstd · (g − x̂ · mean(g·x̂)) (+ residual). */
  rmsNormBackward(maths, input: NormGradient & { rstd_T: Tensor }) {
    const { tf } = maths;
    const { dy_TD, x_TD, weight_D, rstd_T, residual_TD } = input;
    const g = tf.mul(dy_TD, weight_D);
    const unit = tf.mul(x_TD, rstd_T);
    const dx = tf.mul(rstd_T, tf.sub(g, tf.mul(unit, tf.mean(tf.mul(g, unit), 1, true))));
    return { dx_TD: plus(maths, dx, residual_TD) };
  },

  /** y = scale · (u + bias) (+ residual), vectors by set. */
  scaleShift(maths, { u_TN, scale_SN, bias_SN, rowOf_T, residual_TN }: Vectors & { residual_TN?: Tensor }) {
    const { tf } = maths;
    const [scale, bias] = [ofSet(maths, scale_SN, rowOf_T, 1), ofSet(maths, bias_SN, rowOf_T, 0)];
    return { y_TN: plus(maths, tf.mul(scale, tf.add(u_TN, bias)), residual_TN) };
  },
  scaleShiftBackward(maths, input: Vectors & { dy_TN: Tensor }, size: { T: number; S: number }) {
    const { tf } = maths;
    const { dy_TN, u_TN, scale_SN, bias_SN, rowOf_T } = input;
    const du_TN = tf.mul(ofSet(maths, scale_SN, rowOf_T, 1), dy_TN);
    const shifted = tf.add(u_TN, ofSet(maths, bias_SN, rowOf_T, 0));
    const dscale_SN = sumBySet(maths, tf.mul(dy_TN, shifted), rowOf_T, size);
    return { du_TN, dscale_SN, dbias_SN: sumBySet(maths, du_TN, rowOf_T, size) };
  },

  /** RMSNorm with weights by set. */
  rmsNormBySet(maths, input: BySet & { x_TD: Tensor; weight_SD: Tensor }, size: { eps: number }) {
    return flat.rmsNorm(maths, { x_TD: input.x_TD, weight_D: ofSet(maths, input.weight_SD, input.rowOf_T, 1) }, size);
  },
  rmsNormBySetBackward(maths, input: Omit<NormGradient, "weight_D"> & BySet & { rstd_T: Tensor; weight_SD: Tensor }) {
    const { weight_SD, rowOf_T, ...own } = input;
    return flat.rmsNormBackward(maths, { ...own, weight_D: ofSet(maths, weight_SD, rowOf_T, 1) }, {});
  },
  rmsNormWeightBackward(
    maths,
    { dy_TD, x_TD, rstd_T, rowOf_T }: BySet & { dy_TD: Tensor; x_TD: Tensor; rstd_T: Tensor },
    size: { T: number; S: number },
  ) {
    const { tf } = maths;
    return { dweight_SD: sumBySet(maths, tf.mul(dy_TD, tf.mul(x_TD, rstd_T)), rowOf_T, size) };
  },

  /** LayerNorm (arXiv:1607.06450 eq. 3):  x̂ = (x − mean) · rstd,  rstd = 1 / √(mean((x − mean)²) + eps),  y = x̂ · weight + bias. */
  layerNorm({ tf }, input: { x_TD: Tensor; weight_D: Tensor; bias_D: Tensor }, { eps }: { eps: number }) {
    const { x_TD, weight_D, bias_D } = input;
    const mean_T1 = tf.mean(x_TD, 1, true);
    const centred = tf.sub(x_TD, mean_T1);
    const rstd_T1 = tf.rsqrt(tf.add(tf.mean(tf.square(centred), 1, true), eps));
    const y_TD = tf.add(tf.mul(tf.mul(centred, rstd_T1), weight_D), bias_D);
    return { y_TD, stats_T2: tf.concat([mean_T1, rstd_T1], 1) };
  },
  /** With g = dy·weight:  dx = rstd · (g − mean(g) − x̂ · mean(g·x̂)) (+ residual). */
  layerNormBackward(maths, input: NormGradient & { stats_T2: Tensor }, { T }: { T: number }) {
    const { tf } = maths;
    const { dy_TD, x_TD, weight_D, stats_T2, residual_TD } = input;
    const [mean_T1, rstd_T1] = [tf.slice(stats_T2, [0, 0], [T, 1]), tf.slice(stats_T2, [0, 1], [T, 1])];
    const unit = tf.mul(tf.sub(x_TD, mean_T1), rstd_T1);
    const g = tf.mul(dy_TD, weight_D);
    const flow = tf.sub(tf.sub(g, tf.mean(g, 1, true)), tf.mul(unit, tf.mean(tf.mul(g, unit), 1, true)));
    return { dx_TD: plus(maths, tf.mul(rstd_T1, flow), residual_TD) };
  },

  swiglu: gated(silu),
  swigluBackward: gatedBackward(silu, siluSlope),
  geglu: gated(gelu),
  gegluBackward: gatedBackward(gelu, geluSlope),
  gelu: (maths, { up_TF }: { up_TF: Tensor }) => ({ y_TF: gelu(maths, up_TF) }),
  geluBackward: (maths, { dy_TF, up_TF }: { dy_TF: Tensor; up_TF: Tensor }) => {
    return { dup_TF: maths.tf.mul(dy_TF, geluSlope(maths, up_TF)) };
  },
  geluErf: (maths, { up_TF }: { up_TF: Tensor }) => ({ y_TF: maths.tf.mul(up_TF, normal(maths, up_TF)) }),
  geluErfBackward: (maths, { dy_TF, up_TF }: { dy_TF: Tensor; up_TF: Tensor }) => {
    const { tf } = maths;
    const density = tf.mul(tf.exp(tf.mul(tf.square(up_TF), -0.5)), 1 / Math.sqrt(2 * Math.PI));
    return { dup_TF: tf.mul(dy_TF, tf.add(normal(maths, up_TF), tf.mul(up_TF, density))) };
  },
  geluQuick: ({ tf }, { up_TF }: { up_TF: Tensor }) => ({
    y_TF: tf.mul(up_TF, tf.sigmoid(tf.mul(up_TF, 1.702))),
  }),
  softCap: ({ tf }, { x_TF }: { x_TF: Tensor }, { cap = 1 }) => ({
    y_TF: tf.mul(tf.tanh(tf.div(x_TF, cap)), cap),
  }),
};

/** Rows and columns of an array: its shape's first size, and the product of the others. */
export function matrixShape(shape: Shape, size: Sizes): [rows: number, columns: number] {
  const [rows = 0, ...columns] = Array.from(shape, (factor) => size[factor] ?? Number(factor));
  return [rows, columns.reduce((product, factor) => product * factor, 1)];
}
