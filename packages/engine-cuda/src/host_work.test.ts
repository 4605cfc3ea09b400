/** What the host does for a training cell: waits, and copies to the GPU, however many layers there are. */
import { cellGradient, packCell } from "@zerogate/core";
import { describe, expect, test, vi } from "vitest";
import { tinyAdapter, tinyModel, tinyTokens } from "../../core/test/tiny_model.ts";
import { absent, fakeEnv } from "../test/fake.ts";
import { createEngine } from "./engine.ts";
import { openDriver } from "./native/driver.ts";

for (const [name, value] of Object.entries(fakeEnv())) vi.stubEnv(name, value);

/** Calls of the driver in the second of two cells of a model with this many layers, one of them not adapted. */
async function callsOfCell(layers: number): Promise<Record<string, number>> {
  const engine = createEngine({ compute: "bf16", tune: false, debug: false });
  const calls = openDriver().calls as Record<string, (...args: unknown[]) => unknown>;
  const own = { ...calls };
  const counts: Record<string, number> = {};
  try {
    const changes = { layers, hiddenSize: 64, heads: 1, kvHeads: 1, headDim: 64, intermediateSize: 64 };
    const { config, model } = tinyModel(changes, engine);
    const adapter = tinyAdapter(config, { adaptedLayers: layers - 1 });
    const cell = packCell(tinyTokens(config, [40, 70]), [0, 1]);
    const first = await cellGradient(model, adapter, cell, 1 / 64);
    for (const [name, call] of Object.entries(own)) {
      calls[name] = (...args) => {
        counts[name] = (counts[name] ?? 0) + 1;
        return call(...args);
      };
    }
    const second = await cellGradient(model, adapter, cell, 1 / 64);
    expect(second).toEqual(first);
    return counts;
  } finally {
    Object.assign(calls, own);
    engine.close();
  }
}

describe.skipIf(absent !== "")(`the host's work for a cell${absent}`, () => {
  test("waits once, for loss and all gradients, and brings tables once for all layers", async () => {
    const [few, many] = [await callsOfCell(3), await callsOfCell(7)];
    for (const { cuStreamSynchronize, cuEventSynchronize } of [few, many]) {
      expect([cuStreamSynchronize, cuEventSynchronize ?? 0]).toEqual([1, 0]);
    }
    // Of every adapted layer its prompts, and nothing else.
    expect((many["cuMemcpyHtoDAsync_v2"] ?? 0) - (few["cuMemcpyHtoDAsync_v2"] ?? 0)).toBe(4);
    // And once: ids, positions, three tables of attention, rows gathered, labels, and rows as scatterRows sums them.
    expect(few["cuMemcpyHtoDAsync_v2"]).toBe(2 + 8);
    expect(many["cuLaunchKernel"]).toBeGreaterThan(few["cuLaunchKernel"] ?? 0);
  });
});
