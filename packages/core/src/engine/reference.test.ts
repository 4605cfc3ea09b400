import { expect, test } from "vitest";
import { describeEngine } from "../../test/conformance.ts";
import { describeGolden } from "../../test/golden.ts";
import { describeImageGolden } from "../../test/image_golden.ts";
import { describeMixed } from "../../test/mixed.ts";
import { describePromptSets } from "../../test/prompt_sets.ts";
import { describeQueryGolden } from "../../test/query_golden.ts";
import { describeScaled } from "../../test/scaled.ts";
import { describeTuningGolden } from "../../test/tuning_golden.ts";
import { describeQueryBits } from "../../test/visual_adapter.ts";
import { createReferenceEngine } from "./reference.ts";

// Float64 sums rounded once to float32: half a unit in the last place is 6e-8; sums of a few rounded terms stay below 5e-7.
describeEngine("reference", createReferenceEngine, 5e-7);
describeGolden("reference", createReferenceEngine, 1e-5);
describeImageGolden("reference", createReferenceEngine, 1e-5);
describeQueryGolden("reference", createReferenceEngine, 1e-5);
describeQueryBits("reference", createReferenceEngine);
describeMixed("reference", createReferenceEngine, 0);
for (const dtype of ["i8", "f8", "nf4", "i4"] as const) describeScaled("reference", dtype, createReferenceEngine, 5e-7);
describePromptSets("reference", createReferenceEngine, 0);
describeTuningGolden("reference", createReferenceEngine, 1e-5);

test("prompts that fit no pass are refused by the name of the operation", () => {
  const engine = createReferenceEngine();
  const size = { T: 1, H: 1, G: 1, d: 2, window: 0 };
  const array = (length: number) => engine.upload(new Float32Array(length));
  const sets = [{ kv_RY: array(4), rows: [0, 1], tokens: [0, 2], gate_H: new Float32Array(1) }] as const;
  const problem = "tokens 0 to 2 are asked for, there are 1";
  expect(() => engine.promptAttention(array(2), { qkv_TX: array(6), sets }, size)).toThrow(
    `Cannot run promptAttention: ${problem}`,
  );
  const backward = { do_TQ: array(2), qkv_TX: array(6), sets };
  expect(() => engine.promptAttentionBackward(backward, size)).toThrow(
    `Cannot run promptAttentionBackward: ${problem}`,
  );
});

test("takes weights in f32 and in 8 bits unchanged, and everything else widened", () => {
  expect(createReferenceEngine().weightDtypes).toEqual(["f32", "i8", "f8", "nf4", "i4"]);
});
