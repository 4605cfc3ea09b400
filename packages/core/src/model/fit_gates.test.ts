import { expect, test } from "vitest";
import { recordingEngine } from "../../test/recording_engine.ts";
import { tinyBases } from "../../test/tiny_bases.ts";
import { tinyAdapter, tinyModel, tinyTokens } from "../../test/tiny_model.ts";
import { convertGates } from "../adapter/files/convert_gates.ts";
import { layerParts } from "../adapter/kinds/adaption_prompt.ts";
import { partNumbers } from "../adapter/parameters.ts";
import { effectiveGate } from "../adapter/parts/gate.ts";
import { packCell } from "../cell/tokens.ts";
import { fitGates } from "./fit_gates.ts";
import { weightNames, weightOf } from "./weights.ts";

/** Row-major numbers of a weight of layer `i`. */
function numbersOf(image: ReturnType<typeof tinyModel>["image"], i: number, name: "qkv" | "qkvBias" | "o") {
  const tensor = weightOf(image, weightNames.layer(i, name));
  return tensor && new Float32Array(tensor.bytes.slice().buffer);
}

// With one prompt a layer its softmax is 1, so that what head h adds is its value, projected, for any tokens; unless each has a gate.
const ungated = tinyBases.filter(({ changes }) => !("outputGate" in changes));
test.each(ungated)("$title: with one prompt the fitted gate is that of the normal equation", async ({ changes }) => {
  const { model, image, config } = tinyModel(changes);
  const { heads: H, kvHeads: G, headDim: d, hiddenSize: D } = config;
  const shape = { promptLength: 1, gateSharing: "per-head", gateActivation: "tanh" } as const;
  const state = tinyAdapter(config, shape);
  const fitted = await fitGates(model, state, packCell(tinyTokens(config, [7, 5]), [0, 1]));
  expect(fitted.map(({ layer }) => layer)).toEqual([1, 2]);
  for (const [i, { layer, prompt, gate }] of layerParts(state.layout).entries()) {
    const [qkv, bias, o] = [
      numbersOf(image, layer, "qkv"),
      numbersOf(image, layer, "qkvBias"),
      numbersOf(image, layer, "o"),
    ];
    const dot = (row: number) => {
      let sum = bias?.[row] ?? 0;
      for (let k = 0; k < D; k++) sum += (qkv?.[row * D + k] ?? 0) * state.params[prompt.offset + k];
      return sum;
    };
    const values = Array.from({ length: H * d }, (_, q) =>
      dot((H + G) * d + Math.floor(Math.floor(q / d) / (H / G)) * d + (q % d)),
    );
    /** What heads of these gates add to the D numbers of a token. */
    const added = (gates: readonly number[]) => {
      const scaled = values.map((value, q) => (gates[Math.floor(q / d)] ?? 0) * value);
      if (config.modelType === "gpt2") return scaled; // added as it is
      return Array.from({ length: D }, (_, k) => scaled.reduce((sum, v, q) => sum + v * (o?.[k * H * d + q] ?? 0), 0));
    };
    const inner = (a: readonly number[], b: readonly number[]) => a.reduce((sum, x, k) => sum + x * (b[k] ?? 0), 0);
    const wanted = added([...effectiveGate(partNumbers(gate, state.params), "tanh", H)]);
    const open = added(Array<number>(H).fill(1));
    const best = inner(open, wanted) / inner(open, open);
    const rest = wanted.map((x, k) => best * (open[k] ?? 0) - x);
    expect(fitted[i]?.gate).toBeCloseTo(best, 5);
    expect(fitted[i]?.outputError).toBeCloseTo(Math.sqrt(inner(rest, rest) / inner(wanted, wanted)), 5);
  }
  const { state: reduced } = convertGates(state, {
    gateSharing: "scalar",
    gateActivation: "none",
    reduce: fitted.map(({ gate }) => gate),
  });
  expect(layerParts(reduced.layout).map(({ gate }) => reduced.params[gate.offset])).toEqual(
    fitted.map(({ gate }) => gate),
  );
});

const gatedOutputs = tinyBases.find(({ title }) => title.startsWith("qwen3_5"))?.changes ?? {};
test.each([
  ["llama", {}, 2],
  ["qwen3_5", gatedOutputs, 3],
])(
  "%s: gates that are the same in all heads are kept, closed ones are 0, both without an error",
  async (_, changes, top) => {
    const { model, config } = tinyModel(changes);
    const tokens = packCell(tinyTokens(config, [9]), [0]);
    const state = tinyAdapter(config, { gateSharing: "per-head" });
    const [low, high] = layerParts(state.layout).map(({ gate }) => partNumbers(gate, state.params));
    low?.fill(-0.75);
    high?.fill(0);
    const [first, second] = await fitGates(model, state, tokens);
    expect(first?.gate).toBeCloseTo(-0.75, 6);
    expect(first?.outputError).toBeLessThan(1e-6);
    expect(second).toEqual({ layer: top, gate: 0, outputError: 0 });
  },
);

test("what a layer leaves for a gradient is given back before the next one, so that depth costs no memory", async () => {
  const peakOf = async (layers: number) => {
    const { engine, takePeak, live } = recordingEngine();
    const { model, config } = tinyModel({ layers }, engine);
    const state = tinyAdapter(config, { adaptedLayers: 2 });
    takePeak();
    await fitGates(model, state, packCell(tinyTokens(config, [7, 5]), [0, 1]));
    expect(live.size).toBe(0);
    return takePeak();
  };
  expect(await peakOf(8)).toBe(await peakOf(3));
});
