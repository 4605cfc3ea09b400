/** A second of work on one GPU: a small model's gradient against core's reference engine, then products against the clock. */
import { createReferenceEngine } from "@zerogate/core";
import type { AttentionSize, DeviceArray, Engine, PromptSet, PromptSetGradient } from "@zerogate/core/engine";
import { createEngine } from "./engine.ts";

/** How a GPU did in a second of work. */
export interface GpuTest {
  readonly ok: boolean;
  /** Of all results, relative to the largest number of each. */
  readonly largestError: number;
  /** Of bf16 products of the size that fits into the second. */
  readonly tflops: number;
}

/** For the products; the rest is over at once if the kernels are compiled. */
const TEST_MS = 900;
/** Of attention's gradients in bf16, see the conformance suite. */
const TOLERANCE = 4e-2;

/** @throws InputError, CudaError if the GPU cannot be used. */
export async function testGpu(ordinal: number): Promise<GpuTest> {
  const engine = createEngine({ devices: [ordinal], compute: "bf16", tune: false });
  let hasFailed = true;
  try {
    const [ours, right] = [await results(engine), await results(createReferenceEngine())];
    const errors = right.map((values, i) => relativeError(ours[i] ?? new Float32Array(0), values));
    const largestError = Math.max(...errors.map((error) => (Number.isNaN(error) ? Number.POSITIVE_INFINITY : error)));
    const tflops = await productRate(engine, performance.now() + TEST_MS);
    hasFailed = false;
    return { ok: largestError <= TOLERANCE, largestError, tflops };
  } finally {
    close(engine, hasFailed);
  }
}

/** Closes the engine. After a failure its own error counts, not what a lost context says to closing. */
function close(engine: ReturnType<typeof createEngine>, hasFailed: boolean): void {
  try {
    engine.close();
  } catch (error) {
    if (!hasFailed) throw error;
  }
}

/** Uneven numbers of order one that bf16 holds exactly. */
const wave = (length: number, phase: number) =>
  Float32Array.from({ length }, (_, i) => Math.round(64 * Math.sin(1.7 * i * i + phase)) / 64);

/** Each kind of kernel once: norm, products, flash attention with two sequences, prompts, SwiGLU, loss. */
async function results(engine: Engine): Promise<Float32Array[]> {
  const [T, H, G, d, D, F, K] = [70, 2, 1, 64, 48, 40, 5];
  const X = (H + 2 * G) * d;
  const [cuSeqlens, heads] = [Int32Array.of(0, 66, T), { T, H, G, d, window: 0 }];
  const matrix = (rows: number, columns: number, phase: number) => {
    const values = wave(rows * columns, phase).map((x) => x / Math.sqrt(columns));
    return engine.matrix({ dtype: "f32", shape: [rows, columns], bytes: new Uint8Array(values.buffer) });
  };
  const weight_D = engine.matrix({ dtype: "f32", shape: [D], bytes: new Uint8Array(wave(D, 0.2).buffer) });
  return engine.arena(async () => {
    const { y_TD } = engine.rmsNorm(engine.upload(wave(T * D, 0.1)), weight_D, { T, D, eps: 1e-5 });
    const qkv_TX = engine.upload(wave(T * X, 0.3));
    const kv_RY = engine.upload(wave(K * 2 * G * d, 0.4));
    const sets: PromptSet[] = [{ kv_RY, rows: [0, K], tokens: [0, T], gate_H: Float32Array.of(0.5, -1) }];
    const attended = attend(engine, { qkv_TX, sets, do_TQ: engine.upload(wave(T * H * d, 0.8)) }, cuSeqlens, heads);
    const gateUp = engine.linear(y_TD, matrix(2 * F, D, 0.5), { T });
    const hidden = engine.linear(engine.swiglu(gateUp, { T, F }), matrix(D, F, 0.6), { T, toRead: true });
    const labels_R = Int32Array.from({ length: T }, (_, t) => (7 * t) % 50);
    const loss = engine.headLoss(hidden, matrix(50, D, 0.7), labels_R, { R: T, D, cells: [{ R: T, scale: 1 }] });
    const read: DeviceArray[] = [hidden, loss.nll_R, ...attended];
    return Promise.all(read.map((array) => engine.read(array)));
  });
}

/** Attention with prompts and its gradients: at once if the engine can, else one after the other. */
function attend(
  engine: Engine,
  input: { do_TQ: DeviceArray; qkv_TX: DeviceArray; sets: readonly PromptSet[] },
  cuSeqlens: Int32Array,
  size: AttentionSize,
): DeviceArray[] {
  const both = engine.promptedAttention?.(input, cuSeqlens, size);
  const back =
    both && engine.promptedAttentionBackward?.({ ...input, ...both }, cuSeqlens, { ...size, withInput: true });
  const all = (prompts: readonly PromptSetGradient[]) => prompts.flatMap(({ dkv_KY, dgate_H }) => [dkv_KY, dgate_H]);
  if (both && back?.dqkv_TX) return [both.y_TQ, back.dqkv_TX, ...all(back.prompts)];
  const alone = engine.attention(input.qkv_TX, cuSeqlens, size);
  const y_TQ = engine.promptAttention(alone.o_TQ, input, size);
  const dqkv_TX = engine.attentionBackward({ ...input, ...alone }, cuSeqlens, size);
  return [y_TQ, dqkv_TX, ...all(engine.promptAttentionBackward({ ...input, dqkv_TX }, size))];
}

function relativeError(actual: Float32Array, expected: Float32Array): number {
  const scale = expected.reduce((most, x) => Math.max(most, Math.abs(x)), 1e-3);
  const worst = expected.reduce((most, x, i) => Math.max(most, Math.abs((actual[i] ?? Number.NaN) - x)), 0);
  return actual.length === expected.length ? worst / scale : Number.NaN;
}

/** Square products, each twice as wide as the one before while there is time left. */
async function productRate(engine: Engine, endMs: number): Promise<number> {
  let rate = 0;
  for (let N = 64; N <= 8192 && performance.now() < endMs; N *= 2) {
    const bytes = new Uint8Array(2 * N * N).fill(0x3c);
    const weight = engine.matrix({ dtype: "bf16", shape: [N, N], bytes });
    await engine.arena(async () => {
      let x = engine.linear(engine.upload(new Float32Array(N * N)), weight, { T: N });
      await engine.read(engine.gatherRows(x, Int32Array.of(0), { T: N, D: 1 }));
      const times = 4;
      const from = performance.now();
      for (let i = 0; i < times; i++) x = engine.linear(x, weight, { T: N });
      await engine.read(engine.gatherRows(x, Int32Array.of(0), { T: N, D: 1 }));
      rate = (times * 2 * N ** 3) / (performance.now() - from) / 1e9;
    });
  }
  return rate;
}
