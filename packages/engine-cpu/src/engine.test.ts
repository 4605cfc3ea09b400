/** Core's conformance suite and golden values at every instruction set that this machine runs. More schedules: schedules.campaign.test.ts. */
import { narrow, widen } from "@zerogate/core/engine";
import { describe, expect, test } from "vitest";
import { describeEngine } from "../../core/test/conformance.ts";
import { describeGolden } from "../../core/test/golden.ts";
import { describeImageGolden } from "../../core/test/image_golden.ts";
import { describeLabelled } from "../../core/test/labelled_rows.ts";
import { describeMixed } from "../../core/test/mixed.ts";
import type { Numbers } from "../../core/test/oracle.ts";
import { describePromptSets } from "../../core/test/prompt_sets.ts";
import { describeQueryGolden } from "../../core/test/query_golden.ts";
import { describeScaled } from "../../core/test/scaled.ts";
import { describeSchedules } from "../../core/test/schedules.ts";
import { describeShared } from "../../core/test/shared_beginnings.ts";
import { describeTowers } from "../../core/test/tower.ts";
import { describeTuningGolden } from "../../core/test/tuning_golden.ts";
import { describeQueryBits } from "../../core/test/visual_adapter.ts";
import { absent, bf16Levels, levels, openAt } from "../test/levels.ts";

const scaled = ["i8", "nf4", "i4"] as const;

test.skipIf(absent !== "")(`a machine with the binary runs at least one level${absent}`, () => {
  expect(levels.length).toBeGreaterThan(0);
});

for (const level of levels) {
  // Float32 sums of up to 128 terms: half a unit in the last place is 6e-8, and errors add like a random walk.
  describeEngine(`cpu ${level}`, () => openAt(level), 2e-6);
  describeGolden(`cpu ${level}`, () => openAt(level), 1e-5);
  describeImageGolden(`cpu ${level}`, () => openAt(level), 1e-5);
  describeQueryGolden(`cpu ${level}`, () => openAt(level), 1e-5);
  describeQueryBits(`cpu ${level}`, () => openAt(level));
  for (const dtype of scaled) describeScaled(`cpu ${level}`, dtype, () => openAt(level), 2e-6);
  describeMixed(`cpu ${level}`, () => openAt(level), 1e-5, 0); // a product of few rows is summed in another order
  describeSchedules(`cpu ${level}`, () => openAt(level), { runs: 10 });
  describePromptSets(`cpu ${level}`, () => openAt(level), 0);
  describeTuningGolden(`cpu ${level}`, () => openAt(level), 1e-5);
  describeShared(`cpu ${level}`, () => openAt(level), 1e-5);
  describeLabelled(`cpu ${level}`, () => openAt(level), 0);
  describeTowers(`cpu ${level}`, () => openAt(level));
}
describe("two threads", () => {
  for (const level of levels.slice(0, 1)) describeEngine(`cpu ${level}`, () => openAt(level, { threads: 2 }), 2e-6);
  for (const level of levels) {
    for (const dtype of scaled) describeScaled(`cpu ${level}`, dtype, () => openAt(level, { threads: 2 }), 2e-6);
  }
});
for (const level of bf16Levels) {
  describeSchedules(`cpu ${level} bf16`, () => openAt(level, { compute: "bf16", threads: 2 }), { runs: 10 });
  describeLabelled(`cpu ${level} bf16`, () => openAt(level, { compute: "bf16" }), 0);
  describePromptSets(`cpu ${level} bf16`, () => openAt(level, { compute: "bf16" }), 0);
  // Both factors of a product are rounded to 8 bits: 2e-3 each, and the suite asks for the largest error.
  describeEngine(`cpu ${level} bf16`, () => openAt(level, { compute: "bf16" }), 1e-2);
  for (const dtype of scaled) {
    describeScaled(`cpu ${level} bf16`, dtype, () => openAt(level, { compute: "bf16" }), 1e-2, asBf16);
  }
}

function asBf16(values: Numbers): Numbers {
  const rounded = new Float32Array(values.length);
  widen("bf16", narrow(Float32Array.from(values), "bf16"), rounded);
  return Float64Array.from(rounded);
}
