/** Operations by the kernel file that they run, in sizes that take every path through its kernels. */
import {
  type AttentionSize,
  type DeviceArray,
  deltaWidths,
  type Matrix,
  type PromptSet,
  tensorBytes,
} from "@zerogate/core/engine";
import { single, wave } from "../../core/test/numeric.ts";
import type { CudaEngine } from "../src/engine.ts";
import type { KernelFile } from "../src/kernel_sources.ts";

export type Work = (engine: CudaEngine) => Promise<unknown>;

const upload = (engine: CudaEngine, length: number, phase: number): DeviceArray =>
  engine.upload(single(wave(length, phase)));
const weight = (engine: CudaEngine, shape: readonly number[], phase: number): Matrix => {
  const values = single(
    wave(
      shape.reduce((a, b) => a * b),
      phase,
    ),
  );
  return engine.matrix({ dtype: "f32", shape, bytes: new Uint8Array(values.buffer) });
};
const ends = (lengths: readonly number[]): Int32Array =>
  Int32Array.from([0, ...lengths.map((_, s) => lengths.slice(0, s + 1).reduce((a, b) => a + b))]);

async function rows(engine: CudaEngine) {
  const [T, D, N] = [9, 48, 24];
  const x = upload(engine, T * D, 0.1);
  const table = weight(engine, [20, D], 0.4);
  const half = engine.matrix({ dtype: "bf16", shape: [20, D], bytes: new Uint8Array(2 * 20 * D) });
  for (const own of [table, half])
    engine.embed(own, Int32Array.of(1, 19, 3), { scale: 2, residual: upload(engine, 3 * D, 1) });
  engine.gatherRows(x, Int32Array.of(3, 8), { T, D });
  const scattered = engine.scatterRows(upload(engine, 4 * D, 0.7), Int32Array.of(8, 0, 8, 8), { T, D });
  const bias = weight(engine, [N], 0.3);
  for (const toRead of [false, true]) engine.linear(x, weight(engine, [N, D], 0.5), { T, bias, toRead });
  for (const dtype of ["i8", "f8", "nf4", "i4"] as const) {
    const bytes = new Uint8Array(tensorBytes(dtype, [N, D])).fill(17);
    engine.linear(x, engine.matrix({ dtype, shape: [N, D], bytes }), { T, rows: [8, 24] });
  }
  // An odd length, of which the last numbers are converted one by one, and back.
  const odd = upload(engine, 13, 0.2);
  engine.gelu(odd, { T: 1, F: 13 });
  await engine.read(engine.addScaled(x, x, { T, D, factor: 0.5 }));
  const factor_T = upload(engine, T, 0.8);
  await engine.read(engine.scaleRows(x, factor_T, { T, D }));
  await engine.read(engine.scaleRowsBackward({ dy_TD: x, x_TD: x, factor_T }, { T, D }).dfactor_T);
  const cut = { T, A: 20, B: 28, X: D };
  const { a_TA, b_TB } = engine.splitColumns(x, cut);
  await engine.read(engine.joinColumns(a_TA, b_TB, cut));
  const inner = engine.linear(x, weight(engine, [N, D], 0.5), { T });
  return [await engine.read(scattered), await engine.read(inner)];
}

/** Keys of more numbers than a warp has lanes, value heads that share key heads, a sequence with a past and one without. */
async function delta(engine: CudaEngine) {
  const size = { T: 7, keyHeads: 2, valueHeads: 4, keyDim: 40, valueDim: 6, taps: 4 };
  const { C, M } = deltaWidths(size);
  const weights = {
    conv_CL: weight(engine, [C, size.taps], 0.9),
    rate_N: weight(engine, [size.valueHeads], 2.1),
    bias_N: weight(engine, [size.valueHeads], 0.2),
  };
  const input = { x_TC: upload(engine, size.T * C, 0.3), gates_T2N: upload(engine, 2 * size.T * size.valueHeads, 1.6) };
  const cuSeqlens = ends([5, 2]);
  const states = [engine.deltaState, engine.deltaState].flatMap((make) => make?.(size) ?? []);
  const outputs = [0, 3].map((start) => {
    const past = { states, starts: Int32Array.of(start, start) };
    return engine.gatedDelta?.(input, weights, cuSeqlens, size, past);
  });
  const do_TM = upload(engine, size.T * M, 2.4);
  const gradient = engine.gatedDeltaBackward?.({ ...input, do_TM }, weights, cuSeqlens, size);
  const all = [...outputs, gradient?.dx_TC, gradient?.dgates_T2N];
  const read = await Promise.all(all.flatMap((array) => (array ? [engine.read(array)] : [])));
  for (const state of states) engine.freeCache(state);
  return read;
}

async function norm(engine: CudaEngine) {
  for (const [T, D] of [
    [3, 1040],
    [3, 1043],
    [5, 24],
  ] as const) {
    const [x_TD, dy_TD, residual_TD] = [
      upload(engine, T * D, 0.1),
      upload(engine, T * D, 0.6),
      upload(engine, T * D, 0.9),
    ];
    const [weight_D, bias_D] = [weight(engine, [D], 0.2), weight(engine, [D], 0.3)];
    const rms = engine.rmsNorm(x_TD, weight_D, { T, D, eps: 1e-5 });
    const layer = engine.layerNorm(x_TD, { weight_D, bias_D }, { T, D, eps: 1e-5 });
    const input = { dy_TD, x_TD, weight_D };
    const weight_SD = upload(engine, 2 * D, 0.4);
    const rowOf_T = Int32Array.from({ length: T }, (_, t) => t % 2);
    const { rstd_T } = engine.rmsNormBySet(x_TD, weight_SD, rowOf_T, { T, D, S: 2, eps: 1e-5 });
    const bySet = { dy_TD, x_TD, weight_SD, residual_TD, rstd_T };
    await engine.read(engine.rmsNormBySetBackward(bySet, rowOf_T, { T, D, S: 2 }));
    engine.rmsNormBackward({ ...input, residual_TD, rstd_T: rms.rstd_T }, { T, D });
    engine.rmsNormBackward({ ...input, rstd_T: rms.rstd_T }, { T, D });
    await engine.read(engine.layerNormBackward({ ...input, residual_TD, stats_T2: layer.stats_T2 }, { T, D }));
  }
}

/** More tokens of a set than a block of its sums, and tokens of none. */
async function tuning(engine: CudaEngine) {
  const [T, N, S] = [600, 37, 2];
  const rowOf_T = Int32Array.from({ length: T }, (_, t) => (t % 5 === 4 ? -1 : Number(t > 500)));
  const [u_TN, dy_TN, residual_TN] = [0.1, 0.6, 0.9].map((phase) => upload(engine, T * N, phase));
  const vectors = { scale_SN: upload(engine, S * N, 0.2), bias_SN: upload(engine, S * N, 0.3) };
  const y_TN = engine.scaleShift(u_TN, { ...vectors, residual_TN }, rowOf_T, { T, N, S });
  const back = engine.scaleShiftBackward({ dy_TN, u_TN, ...vectors }, rowOf_T, { T, N, S });
  const normed = { dy_TD: dy_TN, x_TD: u_TN, rstd_T: upload(engine, T, 0.8) };
  const dweight_SD = engine.rmsNormWeightBackward(normed, rowOf_T, { T, D: N, S });
  const all = [y_TN, back.du_TN, back.dscale_SN, back.dbias_SN, dweight_SD];
  return await Promise.all(all.map((array) => engine.read(array)));
}

async function rope(engine: CudaEngine) {
  const size = { T: 37, H: 3, G: 1, d: 20, window: 0 };
  const [qkv_TX, cosSin_Td] = [upload(engine, 37 * 100, 0.3), upload(engine, 37 * 20, 0.8)];
  for (const inverse of [false, true]) engine.rope(qkv_TX, cosSin_Td, { ...size, inverse });
  await engine.read(qkv_TX);
}

async function mlp(engine: CudaEngine) {
  for (const F of [40, 37]) {
    const T = 9;
    const [gateUp, up_TF, dy_TF] = [
      upload(engine, 2 * T * F, 0.1),
      upload(engine, T * F, 0.2),
      upload(engine, T * F, 0.7),
    ];
    const size = { T, F };
    for (const y of [engine.swiglu(gateUp, size), engine.geglu(gateUp, size)]) await engine.read(y);
    for (const gelu of [engine.gelu, engine.geluErf, engine.geluQuick]) await engine.read(gelu(up_TF, size));
    engine.swigluBackward(dy_TF, gateUp, { T, F });
    const open_TF = engine.sigmoidGate(dy_TF, dy_TF, { T, F });
    engine.sigmoidGateBackward({ dy_TF, x_TF: open_TF, gate_TF: dy_TF }, { T, F });
    engine.gegluBackward(dy_TF, gateUp, { T, F });
    await engine.read(engine.geluBackward(dy_TF, up_TF, { T, F }));
    await engine.read(engine.geluErfBackward(dy_TF, up_TF, { T, F }));
  }
}

/** Sequences of plain heads, also over caches that have tokens already. */
async function attention(engine: CudaEngine) {
  for (const window of [0, 9]) {
    const size = { T: 43, H: 4, G: 2, d: 20, window };
    const qkv_TX = upload(engine, size.T * 160, 0.3);
    const cu = ends([40, 3]);
    const forward = engine.attention(qkv_TX, cu, size);
    await engine.read(
      engine.attentionBackward({ do_TQ: upload(engine, size.T * 80, 0.8), qkv_TX, ...forward }, cu, size),
    );
    const caches = [engine.kvCache(90, 80), engine.kvCache(7, 80)];
    for (const starts of [Int32Array.of(0, 0), Int32Array.of(40, 3)]) {
      await engine.read(engine.cachedAttention(qkv_TX, caches, starts, cu, size));
    }
    const long = [engine.kvCache(600, 80), engine.kvCache(300, 80)];
    const starts = Int32Array.of(530, 0); // three parts, and one of three
    for (const from of [0, 250, 500]) {
      const [before, start] = [upload(engine, Math.min(250, 530 - from) * 160, 0.9), Int32Array.of(from)];
      const T = before.length / 160;
      engine.cachedAttention(before, long.slice(0, 1), start, Int32Array.of(0, T), { ...size, T });
    }
    await engine.read(engine.cachedAttention(qkv_TX, long, starts, cu, size));
    for (const cache of [...caches, ...long]) engine.freeCache(cache);
  }
}

interface Heads {
  readonly lengths: readonly number[];
  readonly size: Omit<AttentionSize, "T">;
}
const flashHeads: readonly Heads[] = [
  { lengths: [66, 3], size: { H: 2, G: 1, d: 64, window: 0 } },
  { lengths: [70], size: { H: 1, G: 1, d: 64, window: 37 } },
  { lengths: [65], size: { H: 1, G: 1, d: 96, window: 0 } },
  { lengths: [66], size: { H: 1, G: 1, d: 128, window: 0 } },
];

/** Forward, and with `backward` that too: alone and with prompts. Nothing if compute is f32. */
async function flash(engine: CudaEngine, backward: boolean) {
  for (const { lengths, size: heads } of flashHeads) {
    const { H, G, d } = heads;
    const T = lengths.reduce((a, b) => a + b);
    const size = { ...heads, T };
    const [qkv_TX, do_TQ] = [upload(engine, T * (H + 2 * G) * d, 0.3), upload(engine, T * H * d, 0.8)];
    const cu = ends(lengths);
    const alone = engine.attention(qkv_TX, cu, size);
    await engine.read(alone.o_TQ);
    if (backward) await engine.read(engine.attentionBackward({ do_TQ, qkv_TX, ...alone }, cu, size));
    const K = lengths.length > 1 ? 10 : 17;
    const gate_H = new Float32Array(H).fill(0.5);
    const sets: PromptSet[] = [
      { kv_RY: upload(engine, K * 2 * G * d, 0.4), rows: [0, K], tokens: [0, lengths[0] ?? 0], gate_H },
    ];
    const both = engine.promptedAttention?.({ qkv_TX, sets }, cu, size);
    if (!both || !engine.promptedAttentionBackward) continue;
    await engine.read(both.y_TQ);
    if (!backward) continue;
    for (const withInput of [true, false]) {
      const back = engine.promptedAttentionBackward({ do_TQ, qkv_TX, ...both, sets }, cu, { ...size, withInput });
      for (const { dkv_KY, dgate_H } of back.prompts) await Promise.all([engine.read(dkv_KY), engine.read(dgate_H)]);
    }
  }
}

async function prompt(engine: CudaEngine) {
  const [T, K] = [140, 20];
  const size = { T, H: 4, G: 2, d: 6, window: 0 };
  const [qkv_TX, kv_RY] = [upload(engine, T * 48, 0.3), upload(engine, K * 24, 1.3)];
  const input = {
    qkv_TX,
    sets: [{ kv_RY, rows: [0, K], tokens: [2, T], gate_H: Float32Array.of(0.5, -1, 0, 2) }] as const,
  };
  await engine.read(engine.promptAttention(upload(engine, T * 24, 0.9), input, size));
  const do_TQ = upload(engine, T * 24, 2.2);
  const dqkv_TX = upload(engine, T * 48, 0.6);
  for (const { dkv_KY } of engine.promptAttentionBackward({ do_TQ, ...input, dqkv_TX }, size))
    await engine.read(dkv_KY);
  // Onto inner numbers too, as a model does.
  const heads = { T, H: 4, G: 2, d: 6, window: 0 };
  const { o_TQ, lse_TH } = engine.attention(qkv_TX, ends([T]), heads);
  await engine.read(engine.promptAttention(o_TQ, input, size));
  const back = engine.attentionBackward({ do_TQ, qkv_TX, o_TQ, lse_TH }, ends([T]), heads);
  engine.promptAttentionBackward({ do_TQ, ...input, dqkv_TX: back }, size);
  await engine.read(back);
}

async function head(engine: CudaEngine) {
  const [R, D, V] = [5, 24, 300];
  const labels = Int32Array.from({ length: R }, (_, r) => (7 * r) % V);
  const table = weight(engine, [V, D], 0.7);
  const y = upload(engine, R * D, 0.1);
  engine.headLoss(y, table, labels, { R, D });
  await engine.read(engine.softCap(upload(engine, R * V, 0.4), { T: R, F: V, cap: 0.5 }));
  const { dy_RD } = engine.headLoss(y, table, labels, { R, D, cells: [{ R, scale: 0.5 }] });
  if (dy_RD) await engine.read(dy_RD);
}

export const everyKernel: Readonly<Record<KernelFile, Work>> = {
  rows,
  norm,
  tuning,
  rope,
  mlp,
  attention,
  flash: (engine) => flash(engine, false),
  flash_backward: (engine) => flash(engine, true),
  prompt,
  delta,
  head,
};
