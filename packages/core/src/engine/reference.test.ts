import { expect, test } from "vitest";
import { describeEngine } from "../../test/conformance.ts";
import { describeGolden } from "../../test/golden.ts";
import { describeInt8 } from "../../test/int8.ts";
import { describeMixed } from "../../test/mixed.ts";
import { describePromptSets } from "../../test/prompt_sets.ts";
import { createReferenceEngine } from "./reference.ts";

// Float64 sums rounded once to float32: half a unit in the last place is 6e-8; sums of a few rounded terms stay below 5e-7.
describeEngine("reference", createReferenceEngine, 5e-7);
describeGolden("reference", createReferenceEngine, 1e-5);
describeMixed("reference", createReferenceEngine, 0);
describeInt8("reference", createReferenceEngine, 5e-7);
describePromptSets("reference", createReferenceEngine, 0);

test("takes weights as they are in f32 and in 8 bits, and everything else widened", () => {
  expect(createReferenceEngine().weightDtypes).toEqual(["f32", "i8", "f8"]);
});
