import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { gradientKinds, gradientTests } from "../../test/gradient_tests.ts";
import { recordingEngine } from "../../test/recording_engine.ts";
import { tinyBases } from "../../test/tiny_bases.ts";
import { gateKinds, labelled, tinyAdapter, tinyModel, tinyTokens } from "../../test/tiny_model.ts";
import { layerParts } from "../adapter/kinds/adaption_prompt.ts";
import { partNumbers } from "../adapter/parameters.ts";
import { packCell } from "../cell/tokens.ts";
import { cellGradient, cellLosses } from "./gradient.ts";

const largest = (values: ArrayLike<number>) => Array.from(values).reduce((max, x) => Math.max(max, Math.abs(x)), 0);

// The kinds take turns over the bases; gradient.campaign.test.ts asks each base for all of them.
for (const [i, base] of tinyBases.entries()) gradientTests(base, [gradientKinds[i % gradientKinds.length]]);

test("a packed cell gives each token the loss of its sample alone, in any order, and the sum of the gradients [E3]", async () => {
  const { model, config } = tinyModel({ qkvBias: true, outputBias: true });
  const tokens = tinyTokens(config, [6, 3, 9, 4]);
  const adapter = tinyAdapter(config, { gateSharing: "per-head", gateActivation: "tanh" });
  const packed = packCell(tokens, [0, 1, 2, 3]);
  const alone = [0, 1, 2, 3].map((sample) => packCell(tokens, [sample]));
  const scale = 1 / labelled(packed);

  const losses = await Promise.all(alone.map((cell) => cellLosses(model, adapter, cell)));
  const inOrder = (samples: readonly number[]) => Float32Array.from(samples.flatMap((sample) => [...losses[sample]]));
  expect(await cellLosses(model, adapter, packed)).toEqual(inOrder([0, 1, 2, 3]));
  expect(await cellLosses(model, adapter, packCell(tokens, [3, 1, 0, 2]))).toEqual(inOrder([3, 1, 0, 2]));

  const whole = await cellGradient(model, adapter, packed, scale);
  const parts = await Promise.all(alone.map((cell) => cellGradient(model, adapter, cell, scale)));
  const summed = whole.gradient.map((_, i) => parts.reduce((total, part) => total + part.gradient[i], 0));
  const reach = largest(whole.gradient);
  for (const [i, g] of whole.gradient.entries()) expect(Math.abs(g - summed[i]) / reach).toBeLessThan(1e-6);
  expect(whole.lossSum).toBeCloseTo(
    parts.reduce((total, part) => total + part.lossSum, 0),
    12,
  );
});

test("with zero gates the gradient of every prompt is exactly 0 and that of every gate is not [C1]", async () => {
  const { model, config } = tinyModel();
  const cell = packCell(tinyTokens(config, [8, 5]), [0, 1]);
  for (const kind of gateKinds) {
    const adapter = tinyAdapter(config, kind, { gates: 0 });
    const { gradient } = await cellGradient(model, adapter, cell, 1);
    for (const { prompt, gate } of layerParts(adapter.layout)) {
      expect(partNumbers(prompt, gradient).every((g) => g === 0)).toBe(true);
      expect(partNumbers(gate, gradient).every((g) => g !== 0)).toBe(true);
    }
  }
});

test("a gradient goes into memory that is given, whatever was in it, and leaves other lengths alone", async () => {
  const { model, config } = tinyModel();
  const cell = packCell(tinyTokens(config, [8, 5]), [0, 1]);
  const adapter = tinyAdapter(config);
  const { gradient } = await cellGradient(model, adapter, cell, 1);
  const into = new Float32Array(gradient.length).fill(Number.NaN);
  const given = await cellGradient(model, adapter, cell, 1, { into });
  expect(given.gradient).toBe(into);
  expect(into).toEqual(gradient);
  const short = new Float32Array(gradient.length - 1);
  await expect(cellGradient(model, adapter, cell, 1, { into: short })).rejects.toThrow(
    `Cannot use into: expected ${gradient.length} elements`,
  );
});

test("the scale multiplies the gradient and leaves the loss as it is", async () => {
  const { model, config } = tinyModel();
  const cell = packCell(tinyTokens(config, [8]), [0]);
  const adapter = tinyAdapter(config);
  const [one, half] = [await cellGradient(model, adapter, cell, 1), await cellGradient(model, adapter, cell, 0.5)];
  expect(half.lossSum).toBe(one.lossSum);
  expect(half.gradient).toEqual(one.gradient.map((g) => g / 2)); // a power of two: no rounding in between
});

test("a cell in which nothing is to be predicted has loss 0 and gradient 0", async () => {
  const { model, config } = tinyModel();
  const tokens = tinyTokens(config, [5]);
  const cell = packCell({ ...tokens, target: tokens.target.fill(0) }, [0]);
  const adapter = tinyAdapter(config);
  expect(await cellLosses(model, adapter, cell)).toEqual(new Float32Array(0));
  const { lossSum, gradient } = await cellGradient(model, adapter, cell, 1);
  expect(lossSum).toBe(0);
  expect(gradient.every((g) => g === 0)).toBe(true);
});

test("a training pass changes neither the base nor the parameters [C5]", async () => {
  const { model, config, image } = tinyModel({ qkvBias: true, outputBias: true, mlpBias: true });
  const hash = () => createHash("sha256").update(new Uint8Array(image.bytes)).digest("hex");
  const adapter = tinyAdapter(config);
  const [base, params] = [hash(), adapter.params.slice()];
  const cell = packCell(tinyTokens(config, [7, 4]), [0, 1]);
  for (let pass = 0; pass < 3; pass++) await cellGradient(model, adapter, cell, 1);
  expect(hash()).toBe(base);
  expect(adapter.params).toEqual(params);
});

test("backward stops at the lowest adapter, skips its attention, and scores labelled tokens only [P2]", async () => {
  const { engine, calls } = recordingEngine();
  const { model, config } = tinyModel({ layers: 5 }, engine);
  const cell = packCell(tinyTokens(config, [7, 4]), [0, 1]);
  const L = 3;
  await cellGradient(model, tinyAdapter(config, { adaptedLayers: L }), cell, 1);
  expect(calls("attention")).toHaveLength(5);
  expect(calls("promptAttention")).toHaveLength(L);
  expect(calls("promptAttentionBackward").map(([input]) => input.dqkv_TX !== undefined)).toEqual([true, true, false]);
  expect(calls("attentionBackward")).toHaveLength(L - 1);
  expect(calls("linearBackward")).toHaveLength(4 * L + (L - 1)); // down, gate·up, o, prompt k·v; then q·k·v but for the lowest
  expect(calls("rmsNormBackward")).toHaveLength(1 + L + (L - 1));
  expect(calls("headLoss").map(([, , labels, { R }]) => [labels.length, R])).toEqual([
    [labelled(cell), labelled(cell)],
  ]);
});

test("memory of a training pass does not grow with the layers below the lowest adapter", async () => {
  const peaks = [];
  for (const layers of [2, 3, 9]) {
    const { engine, takePeak, live } = recordingEngine();
    const { model, config } = tinyModel({ layers }, engine);
    takePeak();
    await cellGradient(model, tinyAdapter(config), packCell(tinyTokens(config, [9, 4]), [0, 1]), 1);
    peaks.push(takePeak());
    expect(live.size).toBe(0);
  }
  expect(peaks[1]).toBe(peaks[0]);
  expect(peaks[2]).toBe(peaks[0]);
});
