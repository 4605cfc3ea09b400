import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { oracleLosses } from "../../test/oracle_model.ts";
import { recordingEngine } from "../../test/recording_engine.ts";
import { gateKinds, labelled, tinyAdapter, tinyBases, tinyModel, tinyTokens } from "../../test/tiny_model.ts";
import { layerParts } from "../adapter/kinds/adaption_prompt.ts";
import type { AdapterState } from "../adapter/kinds/kind.ts";
import { partNumbers } from "../adapter/parameters.ts";
import { type Cell, packCell } from "../cell/tokens.ts";
import { globalNorm } from "../optim/clip.ts";
import { normal } from "../random.ts";
import type { DecoderModel } from "./decoder.ts";
import { cellGradient, cellLosses, sum } from "./gradient.ts";

/** Central difference of the loss along `direction`, from the parameters in float32 that are really used. */
async function slope(
  model: DecoderModel,
  adapter: AdapterState,
  cell: Cell,
  direction: Float64Array,
  h: number,
): Promise<number> {
  const lossAt = async (step: number) => {
    const params = adapter.params.map((p, i) => p + step * direction[i]);
    return sum(await cellLosses(model, { ...adapter, params }, cell));
  };
  return ((await lossAt(h)) - (await lossAt(-h))) / (2 * h);
}

const dot = (a: Float32Array, b: Float64Array) => a.reduce((total, x, i) => total + x * b[i], 0);
const largest = (values: ArrayLike<number>) => Array.from(values).reduce((max, x) => Math.max(max, Math.abs(x)), 0);

for (const { title, changes } of tinyBases) {
  const { model, config, image } = tinyModel(changes);
  const cell = packCell(tinyTokens(config, [7, 2, 5]), [0, 1, 2]);
  const scale = 1 / labelled(cell);

  test.each([...gateKinds, { ...gateKinds[0], outputBiasTimes: "twice" as const }])(
    `every number of the gradient is that of the float64 model (${title}; $gateSharing, $gateActivation, $outputBiasTimes) [C2, B7]`,
    async (kind) => {
      const adapter = tinyAdapter(config, kind);
      const { lossSum, gradient } = await cellGradient(model, adapter, cell, scale);
      const params = Float64Array.from(adapter.params);
      const losses = (at: Float64Array) => oracleLosses(config, image, { layout: adapter.layout, params: at }, cell);
      const loss = (at: Float64Array) => losses(at).reduce((a, b) => a + b, 0);
      for (const [i, nll] of (await cellLosses(model, adapter, cell)).entries()) {
        expect(Math.abs(nll - losses(params)[i]), `loss of labelled token ${i}`).toBeLessThan(2e-6);
      }
      expect(lossSum).toBeCloseTo(loss(params), 5);

      // Differences in float64 err by 1e-9; what is left is the rounding of about 20 float32 stores on the way.
      const h = 1e-5;
      const numeric = params.map(
        (p, i) => (scale * (loss(params.with(i, p + h)) - loss(params.with(i, p - h)))) / (2 * h),
      );
      const reach = largest(numeric);
      for (const [i, expected] of numeric.entries()) {
        expect(Math.abs(gradient[i] - expected) / reach, `number ${i} of ${numeric.length}`).toBeLessThan(3e-6);
      }
    },
  );

  // The forward pass rounds to float32: the sum of the losses carries about 3e-6 nats of noise, and a difference over
  // 2h = 0.04 about 1e-4. With larger steps its own error, of order h⁴ after Richardson's step, takes over: it is 8e-4 at
  // h = 0.1. Slopes are of order one, so 3e-4 is coarse; the test above is the sharp one.
  test.each(gateKinds)(
    `finite differences through the model itself agree (${title}; $gateSharing, $gateActivation) [C3]`,
    async (kind) => {
      const adapter = tinyAdapter(config, kind);
      const { gradient } = await cellGradient(model, adapter, cell, 1);
      const [first, last] = layerParts(adapter.layout);
      const single = (at: number) => new Float64Array(gradient.length).with(at, 1);
      const directions = {
        "a random direction": Float64Array.from(gradient.keys(), (i) => normal(77, i) / Math.sqrt(gradient.length)),
        "the gradient's own direction": Float64Array.from(gradient, (g) => g / globalNorm(gradient)),
        "the first prompt number": single(first.prompt.offset),
        "the last prompt number": single(last.gate.offset - 1),
        "the lowest gate": single(first.gate.offset),
        "the last gate": single(gradient.length - 1),
      };
      for (const [what, direction] of Object.entries(directions)) {
        const coarse = await slope(model, adapter, cell, direction, 0.04);
        const fine = await slope(model, adapter, cell, direction, 0.02);
        expect(Math.abs(dot(gradient, direction) - (4 * fine - coarse) / 3), `along ${what}`).toBeLessThan(3e-4);
      }
    },
  );
}

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
