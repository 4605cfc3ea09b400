/** Core's conformance suite and golden values: in float32, where every formula shows, and in bf16, which training uses. */
import { afterAll, describe, expect, test, vi } from "vitest";
import { describeEngine } from "../../core/test/conformance.ts";
import { describeGolden } from "../../core/test/golden.ts";
import { describeImageGolden } from "../../core/test/image_golden.ts";
import { describeLabelled } from "../../core/test/labelled_rows.ts";
import { describeMixed } from "../../core/test/mixed.ts";
import { describePromptSets } from "../../core/test/prompt_sets.ts";
import { describeQueryGolden } from "../../core/test/query_golden.ts";
import { describeScaled } from "../../core/test/scaled.ts";
import { describeShared } from "../../core/test/shared_beginnings.ts";
import { describeTowers } from "../../core/test/tower.ts";
import { absent, fakeEnv } from "../test/fake.ts";
import { type CudaEngine, createEngine } from "./engine.ts";

for (const [name, value] of Object.entries(fakeEnv())) vi.stubEnv(name, value);

const engines = new Map<string, CudaEngine>();
/** One engine of each kind, as a worker has it. */
function open(compute: "f32" | "bf16"): CudaEngine {
  const engine = engines.get(compute) ?? createEngine({ compute, tune: false });
  engines.set(compute, engine);
  return engine;
}
afterAll(() => {
  for (const engine of engines.values()) engine.close();
});

describe.skipIf(absent !== "")(`on the emulator${absent}`, () => {
  // Float32 sums of up to 128 terms: half a unit in the last place is 6e-8, and errors add like a random walk.
  describeEngine("cuda f32", () => open("f32"), 2e-6);
  describeGolden("cuda f32", () => open("f32"), 1e-5);
  describeImageGolden("cuda f32", () => open("f32"), 1e-5);
  describeQueryGolden("cuda f32", () => open("f32"), 1e-5);
  describeMixed("cuda f32", () => open("f32"), 1e-5);
  describePromptSets("cuda f32", () => open("f32"), 2e-6);
  describeShared("cuda f32", () => open("f32"), 1e-5);
  describeLabelled("cuda f32", () => open("f32"), 1e-5);
  describeTowers("cuda f32", () => open("f32"));
  for (const dtype of ["i8", "f8", "nf4", "i4"] as const) describeScaled("cuda f32", dtype, () => open("f32"), 2e-6);
  // Factors, results and inner activations are rounded to 8 bits: 2e-3 each, and the suite asks for the largest error.
  describeEngine("cuda bf16", () => open("bf16"), 1e-2, { cached: 1e-2 });
  // Some two hundred roundings of 2e-3 on the way to a logit; the largest differences that were seen are 3.4e-2.
  describeGolden("cuda bf16", () => open("bf16"), 5e-2, { coarse: true });
  describeMixed("cuda bf16", () => open("bf16"), 2e-2);
  describePromptSets("cuda bf16", () => open("bf16"), 1e-2);
  describeShared("cuda bf16", () => open("bf16"), 5e-2);
  describeLabelled("cuda bf16", () => open("bf16"), 5e-2);

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
