/** Tests of the gradient of a tiny base against a model in float64 and against differences of the engine's own losses. */
import { expect, test } from "vitest";
import { layerParts } from "../src/adapter/kinds/adaption_prompt.ts";
import type { AdapterState } from "../src/adapter/kinds/kind.ts";
import { type Cell, packCell } from "../src/cell/tokens.ts";
import type { DecoderModel } from "../src/model/decoder.ts";
import { cellGradient, cellLosses, sum } from "../src/model/gradient.ts";
import { globalNorm } from "../src/optim/clip.ts";
import { normal } from "../src/random.ts";
import { oracleLosses } from "./oracle_model.ts";
import type { TinyBase } from "./tiny_bases.ts";
import { gateKinds, labelled, tinyAdapter, tinyModel, tinyTokens } from "./tiny_model.ts";

/** The kinds of adapters that gradients are asked for. */
export const gradientKinds = [...gateKinds, { ...gateKinds[0], outputBiasTimes: "twice" }] as const;

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

/** Declares the tests for one base and some kinds of adapters. */
export function gradientTests({ title, changes }: TinyBase, kinds: readonly (typeof gradientKinds)[number][]): void {
  const { model, config, image } = tinyModel(changes);
  const cell = packCell(tinyTokens(config, [7, 2, 5]), [0, 1, 2]);
  const scale = 1 / labelled(cell);

  test.each(kinds)(
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
  test.each(kinds)(
    `finite differences through the model itself agree (${title}; $gateSharing, $gateActivation, $outputBiasTimes) [C3]`,
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
