/**
 * Sizes that cross every block of the kernels (steps and columns of the GEMM, query blocks, prompt and loss chunks), and all
 * weight dtypes, against the reference engine; the same bits for any number of threads.
 */
import { createReferenceEngine } from "@zerogate/core";
import { type DeviceArray, type DType, type Engine, narrow, type PromptSet, widen } from "@zerogate/core/engine";
import { describe, expect, test } from "vitest";
import { single, wave } from "../../core/test/numeric.ts";
import { absent, bf16Levels, levels, openAt } from "../test/levels.ts";

type Outputs = Record<string, Float32Array>;

/** Numbers that bf16 holds exactly: what is left of its error then is that of the sums. */
function rounded(values: Float32Array): Float32Array {
  const out = new Float32Array(values.length);
  widen("bf16", narrow(values, "bf16"), out);
  return out;
}

/** Weights of a dtype, and the float32 numbers that they stand for. */
function weights(dtype: DType, shape: readonly [number, number], phase: number) {
  const values = rounded(single(wave(shape[0] * shape[1], phase)));
  const bytes = narrow(values, dtype);
  const wide = new Float32Array(values.length);
  widen(dtype, bytes, wide);
  return (engine: Engine) =>
    engine.weightDtypes.includes(dtype)
      ? engine.matrix({ dtype, shape, bytes })
      : engine.matrix({ dtype: "f32", shape, bytes: new Uint8Array(wide.buffer) });
}

async function outputs(engine: Engine, arrays: Record<string, DeviceArray | undefined>): Promise<Outputs> {
  const out: Outputs = {};
  for (const [name, array] of Object.entries(arrays)) if (array) out[name] = await engine.read(array);
  return out;
}

const inArena = (engine: Engine, work: (engine: Engine) => Promise<Outputs>) => engine.arena(() => work(engine));

/** Largest difference of each output relative to its largest number. */
function errors(actual: Outputs, expected: Outputs): Record<string, number> {
  return Object.fromEntries(
    Object.entries(expected).map(([name, values]) => {
      const scale = values.reduce((max, x) => Math.max(max, Math.abs(x)), 1e-30);
      const found = actual[name] ?? new Float32Array();
      expect(found.length, name).toBe(values.length);
      return [name, values.reduce((worst, x, i) => Math.max(worst, Math.abs((found[i] ?? Number.NaN) - x) / scale), 0)];
    }),
  );
}

function expectSameBits(actual: Outputs, expected: Outputs, what: string): void {
  for (const [name, values] of Object.entries(expected)) {
    expect(Buffer.from(actual[name]?.buffer ?? []).equals(Buffer.from(values.buffer)), `${what} ${name}`).toBe(true);
  }
}

const up = (engine: Engine, length: number, phase: number) => engine.upload(rounded(single(wave(length, phase))));

function linearCase(dtype: DType, T: number, N: number, K: number) {
  const makeWeight = weights(dtype, [N, K], 0.7);
  const makeBias = weights(dtype, [N, 1], 1.3);
  return async (engine: Engine) => {
    const weight = makeWeight(engine);
    const rows = [Math.floor(N / 3), N] as const;
    return outputs(engine, {
      y: engine.linear(up(engine, T * K, 0.1), weight, { T, bias: makeBias(engine), residual: up(engine, T * N, 2.1) }),
      part: engine.linear(up(engine, T * K, 0.1), weight, { T, rows }),
      dx: engine.linearBackward(up(engine, T * N, 0.9), weight, { T, residual: up(engine, T * K, 1.1) }),
      dxPart: engine.linearBackward(up(engine, T * (N - rows[0]), 0.4), weight, { T, rows }),
    });
  };
}

function attentionCase(d: number, window: number) {
  const lengths = [150, 1, 70];
  const T = 221;
  const [H, G, K] = [6, 2, 10];
  const X = (H + 2 * G) * d;
  const cuSeqlens = Int32Array.from([0, ...lengths.map((_, i) => lengths.slice(0, i + 1).reduce((a, b) => a + b))]);
  const size = { T, H, G, d, window };
  return async (engine: Engine) => {
    const qkv_TX = up(engine, T * X, 0.4);
    const do_TQ = up(engine, T * H * d, 2.5);
    const { o_TQ, lse_TH } = engine.attention(qkv_TX, cuSeqlens, size);
    const dqkv_TX = engine.attentionBackward({ do_TQ, qkv_TX, o_TQ, lse_TH }, cuSeqlens, size);
    const caches = lengths.map((length) => engine.kvCache(length + 3, 2 * G * d));
    const cached = engine.cachedAttention(qkv_TX, caches, Int32Array.of(0, 0, 0), cuSeqlens, size);
    for (const cache of caches) engine.freeCache(cache);
    const gate_H = Float32Array.of(0.3, -1.2, 0, 0.01, 2, 0);
    const set: PromptSet = { kv_RY: up(engine, K * 2 * G * d, 1.7), rows: [0, K], tokens: [0, T], gate_H };
    const adapted = engine.promptAttention(o_TQ, { qkv_TX, sets: [set] }, size);
    const dq = up(engine, T * X, 0.2);
    const [gradient] = engine.promptAttentionBackward({ do_TQ, qkv_TX, sets: [set], dqkv_TX: dq }, size);
    return outputs(engine, { o_TQ, dqkv_TX, cached, adapted, dq, ...gradient });
  };
}

/** More tokens than one chunk of prompt attention takes. */
async function promptCase(engine: Engine): Promise<Outputs> {
  const [T, H, G, d, K] = [700, 2, 1, 16, 21];
  const size = { T, H, G, d, window: 0 };
  const gate_H = Float32Array.of(0.5, -0.25);
  const set: PromptSet = { kv_RY: up(engine, K * 2 * d, 1.3), rows: [0, K], tokens: [0, T], gate_H };
  const input = { qkv_TX: up(engine, T * 4 * d, 0.3), sets: [set] };
  const [back] = engine.promptAttentionBackward({ do_TQ: up(engine, T * H * d, 2.2), ...input }, size);
  return outputs(engine, { ...back, y: engine.promptAttention(up(engine, T * H * d, 0.8), input, size) });
}

function lossCase(dtype: DType) {
  const [R, D, V] = [290, 48, 1003];
  const makeHead = weights(dtype, [V, D], 1.9);
  const labels = Int32Array.from({ length: R }, (_, r) => (37 * r + 1) % V);
  return async (engine: Engine) => {
    const { nll_R, hit_R, dy_RD } = engine.headLoss(up(engine, R * D, 0.3), makeHead(engine), labels, {
      R,
      D,
      cells: [{ R, scale: 0.02 }],
    });
    return outputs(engine, { nll_R, hit_R, dy_RD });
  };
}

function rowsCase(dtype: DType) {
  const [T, D] = [70, 611];
  const makeWeight = weights(dtype, [D, 1], 1.1);
  const makeTable = weights(dtype, [50, D], 0.6);
  return async (engine: Engine) => {
    const weight_D = makeWeight(engine);
    const x_TD = up(engine, T * D, 0.3);
    const { y_TD, rstd_T } = engine.rmsNorm(x_TD, weight_D, { T, D, eps: 1e-5 });
    const gateUp = engine.upload(single(wave(2 * T * D, 0.3).map((x) => 9 * x)));
    return outputs(engine, {
      y_TD,
      dx: engine.rmsNormBackward({ dy_TD: up(engine, T * D, 2.2), x_TD, weight_D, rstd_T }, { T, D }),
      swiglu: engine.swiglu(gateUp, { T, F: D }),
      dgateUp: engine.swigluBackward(up(engine, T * D, 1.2), gateUp, { T, F: D }),
      embed: engine.embed(
        makeTable(engine),
        Int32Array.from({ length: T }, (_, t) => (7 * t) % 50),
      ),
    });
  };
}

const cases: Readonly<Record<string, (engine: Engine) => Promise<Outputs>>> = {
  "linear f32 77 × 611 × 1100": linearCase("f32", 77, 611, 1100),
  "linear bf16 77 × 611 × 1100": linearCase("bf16", 77, 611, 1100),
  "linear f16 77 × 611 × 1100": linearCase("f16", 77, 611, 1100),
  "linear bf16 3 × 611 × 1100": linearCase("bf16", 3, 611, 1100),
  "linear f16 1 × 130 × 75": linearCase("f16", 1, 130, 75),
  "linear bf16 1030 × 50 × 64": linearCase("bf16", 1030, 50, 64),
  "attention d = 64": attentionCase(64, 0),
  "attention d = 20, window 40": attentionCase(20, 40),
  "prompt attention over 700 tokens": promptCase,
  "head and loss f32": lossCase("f32"),
  "head and loss bf16": lossCase("bf16"),
  "rows bf16": rowsCase("bf16"),
  "rows f16": rowsCase("f16"),
};

describe.skipIf(absent !== "")(`large sizes${absent}`, () => {
  for (const [name, work] of Object.entries(cases)) {
    test(`${name}: every level agrees with the reference, any number of threads gives the same bits`, async () => {
      const expected = await inArena(createReferenceEngine(), work);
      for (const level of levels) {
        const one = await inArena(openAt(level), work);
        for (const [output, error] of Object.entries(errors(one, expected))) {
          // Sums of up to 1100 float32 terms that cancel: a random walk of 1100 steps of 6e-8, and room.
          expect(error, `${level} ${output}`).toBeLessThan(5e-6);
        }
        for (const threads of [2, 3]) {
          expectSameBits(await inArena(openAt(level, { threads }), work), one, `${level}, ${threads} threads,`);
        }
      }
      for (const level of bf16Levels) {
        const one = await inArena(openAt(level, { compute: "bf16" }), work);
        for (const [output, error] of Object.entries(errors(one, expected))) {
          // Probabilities do not fit bf16: 4e-3 each.
          expect(error, `${level} bf16 ${output}`).toBeLessThan(output === "dy_RD" ? 1e-2 : 5e-6);
        }
        expectSameBits(await inArena(openAt(level, { compute: "bf16", threads: 2 }), work), one, `${level} bf16`);
      }
    });
  }
});
