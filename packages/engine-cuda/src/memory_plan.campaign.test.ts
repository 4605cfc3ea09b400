/** The plan against what a cell really takes, of families with further norms and with delta nets. */
import { describe, expect, test } from "vitest";
import { absent } from "../test/fake.ts";
import { cellBytes } from "../test/planned_cell.ts";

/** A base with gated delta nets in these layers. */
function qwen35(delta: readonly number[]) {
  const deltaNet = { layers: delta, keyHeads: 2, valueHeads: 4, keyDim: 16, valueDim: 24, taps: 4 };
  return { modelType: "qwen3_5_text", qkNorm: "head", outputGate: true, layers: 6, deltaNet } as const;
}

describe.skipIf(absent !== "")(`the plan of a cell${absent}`, () => {
  test.each([
    ["qwen3", { modelType: "qwen3", qkNorm: "head" }],
    ["gemma3_text", { modelType: "gemma3_text", qkNorm: "head", outputNorms: "after" }],
    ["qwen3_5", qwen35([0, 1, 2, 4, 5])],
    ["qwen3_5 with a delta net", qwen35([2])],
  ] as const)("of a %s predicts within a twentieth what it takes besides weights and workspace", async (_, traits) => {
    const { taken, planned } = await cellBytes(traits);
    expect(Math.abs(taken / planned - 1), `${taken} taken, ${planned} planned`).toBeLessThan(0.05);
  });
});
