/** What a cell takes of the memory of a device, and what its plan says. */
import { adaptableLayers, cellGradient, type ModelConfig, packCell } from "@zerogate/core";
import { backwardLayers } from "@zerogate/core/training";
import { vi } from "vitest";
import { tinyAdapter, tinyModel, tinyTokens } from "../../core/test/tiny_model.ts";
import { createEngine } from "../src/engine.ts";
import { planCell, WORKSPACE_BYTES } from "../src/memory_plan.ts";
import { fakeEnv } from "./fake.ts";

for (const [name, value] of Object.entries(fakeEnv())) vi.stubEnv(name, value);

/** Bytes besides weights and workspace for a cell of a base that differs by `traits`. */
export async function cellBytes(traits: Partial<ModelConfig>): Promise<{ taken: number; planned: number }> {
  const engine = createEngine({ compute: "bf16", tune: false });
  try {
    const sizes = { layers: 14, hiddenSize: 64, heads: 1, kvHeads: 1, headDim: 64, intermediateSize: 176 };
    const { config, model } = tinyModel({ ...sizes, ...traits }, engine);
    const adapter = tinyAdapter(config, { adaptedLayers: Math.min(13, adaptableLayers(config).length) });
    const tokens = 192;
    const cell = packCell(tinyTokens(config, [tokens]), [0]);
    await cellGradient(model, adapter, cell, 1 / tokens);
    const { bytes, peakBytes } = engine.memory(); // weights are there for good
    const plan = planCell(config, { tokens, adaptedLayers: backwardLayers(adapter.layout), compute: "bf16" });
    const planned = plan.otherBytes - WORKSPACE_BYTES + tokens * (plan.bytesPerToken + plan.workBytesPerToken);
    return { taken: peakBytes - bytes, planned };
  } finally {
    engine.close();
  }
}
