/** Prompts within flash attention: as one operation, and in the whole model. */
import { cellGradient, createReferenceEngine, packCell } from "@zerogate/core";
import type { PromptSet } from "@zerogate/core/engine";
import { afterAll, describe, expect, test } from "vitest";
import { expectClose } from "../../../core/test/numeric.ts";
import { describePrompted } from "../../../core/test/prompted.ts";
import { tinyAdapter, tinyModel, tinyTokens } from "../../../core/test/tiny_model.ts";
import { emulated } from "../../test/emulated.ts";
import { absent } from "../../test/fake.ts";

const { open: openAs, close } = emulated();
afterAll(close);
const open = (compute: "f32" | "bf16" = "bf16") => openAs(compute);

describe.skipIf(absent !== "")(`flash attention with prompts${absent}`, () => {
  // Shares and dS are rounded to 8 bits before their products, 2e-3 each; in gradients they cancel, over all tokens in the prompts'.
  describePrompted(
    "cuda bf16",
    () => open(),
    [
      { lengths: [1], H: 1, G: 1, d: 64, window: 0, K: 1 },
      { lengths: [66, 3, 64], H: 4, G: 2, d: 64, window: 0, K: 10 },
      { lengths: [70], H: 2, G: 1, d: 96, window: 0, K: 17 },
      { lengths: [40, 30], H: 2, G: 2, d: 128, window: 9, K: 16 },
      { lengths: [65], H: 2, G: 1, d: 128, window: 0, K: 64 },
      { lengths: [129], H: 3, G: 1, d: 64, window: 64, K: 33 },
    ],
    { forward: 5e-3, backward: 1.5e-2 },
  );

  test("more than 64 prompts, other heads, float32 and two sets within 64 tokens are left to the plain kernels", () =>
    open().arena(async () => {
      const another = (set: PromptSet): PromptSet => ({ ...set, tokens: [1, 2] });
      const fits = (compute: "f32" | "bf16", d: number, K: number, more = false) => {
        const engine = open(compute);
        const kv_RY = engine.upload(new Float32Array(K * 2 * d));
        const set: PromptSet = { kv_RY, rows: [0, K], tokens: [0, 1], gate_H: Float32Array.of(1) };
        const input = { qkv_TX: engine.upload(new Float32Array(2 * 3 * d)), sets: more ? [set, another(set)] : [set] };
        const size = { T: 2, H: 1, G: 1, d, window: 0 };
        return engine.promptedAttention?.(input, Int32Array.of(0, 2), size) !== undefined;
      };
      expect(fits("bf16", 64, 64, true)).toBe(false);
      expect([fits("bf16", 64, 64), fits("bf16", 64, 65), fits("bf16", 32, 1)]).toEqual([true, false, false]);
      await open("f32").arena(async () => expect(fits("f32", 64, 1)).toBe(false));
    }));

  test("a packed sequence has the bits that it has alone", async () => {
    const engine = open();
    const [H, G, d, K, X] = [2, 1, 64, 5, 4 * 64];
    const values = Float32Array.from({ length: 110 * X }, (_, i) => Math.sin(1.7 * i) / 2);
    const kv = Float32Array.from({ length: K * 2 * d }, (_, i) => Math.cos(2.3 * i));
    const attend = (qkv: Float32Array, cuSeqlens: Int32Array) =>
      engine.arena(async () => {
        const size = { T: qkv.length / X, H, G, d, window: 0 };
        const gate_H = Float32Array.of(0.5, -1);
        const set: PromptSet = { kv_RY: engine.upload(kv), rows: [0, K], tokens: [0, size.T], gate_H };
        const input = { qkv_TX: engine.upload(qkv), sets: [set] };
        const both = engine.promptedAttention?.(input, cuSeqlens, size);
        return both && engine.read(both.y_TQ);
      });
    const packed = await attend(values, Int32Array.of(0, 40, 110));
    const alone = await attend(values.slice(40 * X), Int32Array.of(0, 70));
    expect(packed?.subarray(40 * H * d)).toEqual(alone);
  });

  test.each([10, 65])(
    "loss and gradient of a model with %i prompts are the reference engine's",
    async (promptLength) => {
      const changes = { layers: 3, hiddenSize: 64, heads: 2, kvHeads: 1, headDim: 64, intermediateSize: 80 };
      const results = [];
      for (const engine of [open(), createReferenceEngine()]) {
        const { config, model } = tinyModel(changes, engine);
        const adapter = tinyAdapter(config, { adaptedLayers: 2, promptLength });
        const cell = packCell(tinyTokens(config, [70, 9]), [0, 1]);
        results.push(await cellGradient(model, adapter, cell, 1 / 79));
      }
      const [ours, right] = results;
      expect(ours && right && Math.abs(ours.lossSum / right.lossSum - 1)).toBeLessThan(5e-3);
      // As the golden values of core's suite, see engine.test.ts.
      if (ours && right) expectClose(ours.gradient, Float64Array.from(right.gradient), 5e-2, "gradient");
    },
  );
});
