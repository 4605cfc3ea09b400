/** What core's conformance suite is too short for: more than a warp of keys, more tokens and prompts than one block adds up. */
import { createReferenceEngine } from "@zerogate/core";
import type { Engine, PromptSet } from "@zerogate/core/engine";
import { afterAll, describe, expect, test, vi } from "vitest";
import { expectClose, single, wave } from "../../../core/test/numeric.ts";
import { absent, fakeEnv } from "../../test/fake.ts";
import { type CudaEngine, createEngine } from "../engine.ts";

for (const [name, value] of Object.entries(fakeEnv())) vi.stubEnv(name, value);

let opened: CudaEngine | undefined;
const open = () => (opened ??= createEngine({ compute: "f32", tune: false }));
afterAll(() => opened?.close());

async function expectAlike(work: (engine: Engine) => Promise<Float32Array[]>, tolerance: number): Promise<void> {
  const engines = [open(), createReferenceEngine()] as const;
  const [ours, right] = await Promise.all(engines.map((engine) => engine.arena(() => work(engine))));
  for (const [i, values] of right.entries()) expectClose(ours[i], Float64Array.from(values), tolerance, `result ${i}`);
}

describe.skipIf(absent !== "")(`long attention and prompts in float32${absent}`, () => {
  test.each([0, 40])("attention over 100 tokens, window %i", (window) =>
    expectAlike(async (engine) => {
      const size = { T: 100, H: 2, G: 1, d: 10, window };
      const cu = Int32Array.of(0, 90, 100);
      // Scores that grow along the sequence, so that the largest one moves from chunk to chunk.
      const qkv_TX = engine.upload(single(wave(100 * 40, 0.4)).map((x, i) => x * (1 + i / 2000)));
      const do_TQ = engine.upload(single(wave(100 * 20, 2.5)));
      const { o_TQ, lse_TH } = engine.attention(qkv_TX, cu, size);
      const back = engine.attentionBackward({ do_TQ, qkv_TX, o_TQ, lse_TH }, cu, size);
      return [await engine.read(o_TQ), await engine.read(back)];
    }, 2e-5),
  );

  test("prompt attention of 200 tokens to 20 and 40 prompts", async () => {
    for (const K of [20, 40]) {
      await expectAlike(async (engine) => {
        const size = { T: 200, H: 4, G: 2, d: 6, window: 0 };
        const [qkv_TX, kv_RY] = [engine.upload(single(wave(200 * 48, 0.3))), engine.upload(single(wave(K * 24, 1.3)))];
        const gate_H = Float32Array.of(0.5, -1, 0, 2);
        const input = { qkv_TX, sets: [{ kv_RY, rows: [0, K], tokens: [0, 200], gate_H }] as const };
        const y = engine.promptAttention(engine.upload(single(wave(200 * 24, 0.9))), input, size);
        const do_TQ = engine.upload(single(wave(200 * 24, 2.2)));
        const back = engine.promptAttentionBackward({ do_TQ, ...input }, size);
        const arrays = [y, ...back.flatMap(({ dkv_KY, dgate_H }) => [dkv_KY, dgate_H])];
        return Promise.all(arrays.map((array) => engine.read(array)));
      }, 2e-5);
    }
  });

  test.each([1040, 1043])("norms of rows of %i numbers, more than a block takes at once", (D) =>
    expectAlike(async (engine) => {
      const [T, eps] = [3, 1e-5];
      const upload = (phase: number) => engine.upload(single(wave(T * D, phase)));
      const weight = (phase: number) =>
        engine.matrix({ dtype: "f32", shape: [D], bytes: new Uint8Array(single(wave(D, phase)).buffer) });
      const [x_TD, dy_TD, residual_TD, weight_D, bias_D] = [
        upload(0.1),
        upload(0.7),
        upload(1.9),
        weight(0.4),
        weight(2),
      ];
      const rms = engine.rmsNorm(x_TD, weight_D, { T, D, eps });
      const layer = engine.layerNorm(x_TD, { weight_D, bias_D }, { T, D, eps });
      const input = { dy_TD, x_TD, weight_D, residual_TD };
      const results = [
        rms.y_TD,
        layer.y_TD,
        engine.rmsNormBackward({ ...input, rstd_T: rms.rstd_T }, { T, D }),
        engine.layerNormBackward({ ...input, stats_T2: layer.stats_T2 }, { T, D }),
      ];
      return Promise.all(results.map((array) => engine.read(array)));
    }, 1e-5),
  );

  test("a head whose gate is 0 keeps even the sign of a zero", async () => {
    const engine = open();
    const size = { T: 1, H: 1, G: 1, d: 2, window: 0 };
    const y = await engine.arena(async () => {
      const [qkv_TX, kv_RY] = [6, 4].map((length) => engine.upload(new Float32Array(length)));
      if (!qkv_TX || !kv_RY) throw new Error("no arrays");
      const set: PromptSet = { kv_RY, rows: [0, 1], tokens: [0, 1], gate_H: Float32Array.of(0) };
      const o = engine.upload(Float32Array.of(-0, 0));
      return engine.read(engine.promptAttention(o, { qkv_TX, sets: [set] }, size));
    });
    expect([...y].map((x) => Object.is(x, -0))).toEqual([true, false]);
  });
});
