/** The plan against what a cell really takes. */
import { cellGradient, packCell } from "@zerogate/core";
import { describe, expect, test, vi } from "vitest";
import { tinyAdapter, tinyModel, tinyTokens } from "../../core/test/tiny_model.ts";
import { absent, fakeEnv } from "../test/fake.ts";
import { createEngine } from "./engine.ts";
import { planCell, WORKSPACE_BYTES } from "./memory_plan.ts";

for (const [name, value] of Object.entries(fakeEnv())) vi.stubEnv(name, value);

describe.skipIf(absent !== "")(`the plan of a cell${absent}`, () => {
  test.each([
    ["llama", {}],
    ["qwen3", { modelType: "qwen3", qkNorm: "head" }],
    ["gemma3_text", { modelType: "gemma3_text", qkNorm: "head", outputNorms: "after" }],
  ] as const)("of a %s predicts within a twentieth what it takes besides weights and workspace", async (_, traits) => {
    const engine = createEngine({ compute: "bf16", tune: false });
    try {
      const changes = {
        layers: 14,
        hiddenSize: 64,
        heads: 1,
        kvHeads: 1,
        headDim: 64,
        intermediateSize: 176,
        ...traits,
      };
      const { config, model } = tinyModel(changes, engine);
      const adapter = tinyAdapter(config, { adaptedLayers: 13 });
      const tokens = 192;
      const cell = packCell(tinyTokens(config, [tokens]), [0]);
      await cellGradient(model, adapter, cell, 1 / tokens);
      const { bytes, peakBytes } = engine.memory(); // weights are there for good
      const plan = planCell(config, { tokens, adaptedLayers: 13, compute: "bf16" });
      const planned = plan.otherBytes - WORKSPACE_BYTES + tokens * (plan.bytesPerToken + plan.workBytesPerToken);
      const off = (peakBytes - bytes) / planned - 1;
      expect(Math.abs(off), `${peakBytes - bytes} taken, ${planned} planned`).toBeLessThan(0.05);
    } finally {
      engine.close();
    }
  });
});
