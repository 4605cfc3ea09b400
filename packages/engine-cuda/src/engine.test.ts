/**
 * Core's conformance suite in float32, where every formula shows, and in bf16, which training uses; golden values in float32. Whole
 * models in bf16, and every base: engine_models.campaign.test.ts.
 */
import { afterAll, describe, expect, test } from "vitest";
import { describeEngine } from "../../core/test/conformance.ts";
import { describeGolden } from "../../core/test/golden.ts";
import { describeImageGolden } from "../../core/test/image_golden.ts";
import { describeLabelled } from "../../core/test/labelled_rows.ts";
import { describeMixed } from "../../core/test/mixed.ts";
import { describePromptSets } from "../../core/test/prompt_sets.ts";
import { describeQueryGolden } from "../../core/test/query_golden.ts";
import { describeScaled } from "../../core/test/scaled.ts";
import { describeShared } from "../../core/test/shared_beginnings.ts";
import { unlikeBases } from "../../core/test/tiny_bases.ts";
import { describeTowers } from "../../core/test/tower.ts";
import { describeTuningGolden } from "../../core/test/tuning_golden.ts";
import { emulated } from "../test/emulated.ts";
import { absent } from "../test/fake.ts";

const { open, close } = emulated();
afterAll(close);

describe.skipIf(absent !== "")(`on the emulator${absent}`, () => {
  // Float32 sums of up to 128 terms: half a unit in the last place is 6e-8, and errors add like a random walk.
  describeEngine("cuda f32", () => open("f32"), 2e-6);
  describeGolden("cuda f32", () => open("f32"), 1e-5);
  describeImageGolden("cuda f32", () => open("f32"), 1e-5);
  describeQueryGolden("cuda f32", () => open("f32"), 1e-5);
  describeMixed("cuda f32", () => open("f32"), 1e-5);
  describePromptSets("cuda f32", () => open("f32"), 2e-6);
  describeShared("cuda f32", () => open("f32"), 1e-5, unlikeBases);
  describeLabelled("cuda f32", () => open("f32"), 1e-5, unlikeBases);
  describeTuningGolden("cuda f32", () => open("f32"), 1e-5);
  describeTowers("cuda f32", () => open("f32"));
  for (const dtype of ["i8", "f8", "nf4", "i4"] as const) describeScaled("cuda f32", dtype, () => open("f32"), 2e-6);
  // Factors, results and inner activations are rounded to 8 bits: 2e-3 each, and the suite asks for the largest error.
  describeEngine("cuda bf16", () => open("bf16"), 1e-2, { cached: 1e-2 });
  describeMixed("cuda bf16", () => open("bf16"), 2e-2);
  describePromptSets("cuda bf16", () => open("bf16"), 1e-2);

  test("of equal logits the lowest id is the one that greedy decoding takes", async () => {
    const engine = open("f32");
    const head = engine.matrix({
      dtype: "f32",
      shape: [4, 1],
      bytes: new Uint8Array(Float32Array.of(1, 2, 2, 1).buffer),
    });
    const { hit_R } = await engine.arena(async () => {
      const loss = engine.headLoss(engine.upload(Float32Array.of(3, 3, 3)), head, Int32Array.of(0, 1, 2), {
        R: 3,
        D: 1,
      });
      return { hit_R: await engine.read(loss.hit_R) };
    });
    expect([...hit_R]).toEqual([0, 1, 0]);
  });
});
