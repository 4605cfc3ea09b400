import { expect, test } from "vitest";
import { goldenValues } from "../../../test/image_golden.ts";
import { absent, sharedPath } from "../../../test/shared.ts";
import { tinyConfig } from "../../../test/tiny_model.ts";
import { seeingQueries } from "../../../test/visual_adapter.ts";
import { createReferenceEngine } from "../../engine/reference.ts";
import { readModelConfig } from "../../node.ts";
import { normal } from "../../random.ts";
import { adapterLayout } from "../kinds/adaption_prompt.ts";
import type { AdapterState } from "../kinds/kind.ts";
import { partNumbers } from "../parameters.ts";
import { visualQueries } from "./visual_queries.ts";
import { visualTensors } from "./visual_tensors.ts";

const reason = absent("golden/multimodal_query");

function shapeOf({ layout }: AdapterState) {
  const { vision } = layout.shape;
  if (vision?.fusion !== "query") throw new RangeError("expected the fusion query");
  return vision;
}

/** The same by the operations of an engine, as towers are computed. */
async function queriesByEngine(adapter: AdapterState, tokens_MC: Float32Array): Promise<Float32Array> {
  const vision = shapeOf(adapter);
  const { featureSize: C, embedSize: E, mlpSize: F, heads: H, blockEps, normEps } = vision;
  const { promptLength: K } = adapter.layout.shape;
  const { hiddenSize: D } = adapter.layout.base;
  const M = tokens_MC.length / C;
  const T = K + M;
  const engine = createReferenceEngine();
  const tensors = visualTensors(vision.blocks, (name) => {
    const part = adapter.layout.table.find((own) => own.name === name);
    return part ? partNumbers(part, adapter.params) : new Float32Array(0);
  });
  type Pair = typeof tensors.out;
  const matrix = (numbers: Float32Array, ...shape: number[]) =>
    engine.matrix({ dtype: "f32", shape, bytes: new Uint8Array(numbers.slice().buffer) });
  return engine.arena(async () => {
    const linear = (
      x: ReturnType<typeof engine.upload>,
      { weight, bias }: Pair,
      rows: number,
      N: number,
      inputs: number,
    ) => engine.linear(x, matrix(weight, N, inputs), { T: rows, bias: matrix(bias, N) });
    const norm = (
      x: ReturnType<typeof engine.upload>,
      { weight, bias }: Pair,
      rows: number,
      width: number,
      eps: number,
    ) =>
      engine.layerNorm(x, { weight_D: matrix(weight, width), bias_D: matrix(bias, width) }, { T: rows, D: width, eps })
        .y_TD;
    const F_ME = norm(linear(engine.upload(tokens_MC), tensors.clip, M, E, C), tensors.clipNorm, M, E, normEps);
    let x = engine.upload(Float32Array.of(...tensors.query_KE, ...(await engine.read(F_ME))));
    for (const block of tensors.blocks) {
      const qkv = linear(norm(x, block.norm1, T, E, blockEps), block.qkv, T, 3 * E, E);
      const size = { T, H, G: H, d: E / H, window: 0, causal: false };
      const { o_TQ } = engine.attention(qkv, Int32Array.of(0, T), size);
      const x1 = engine.addScaled(x, linear(o_TQ, block.proj, T, E, E), { T, D: E, factor: 1 });
      const up = engine.geluErf(linear(norm(x1, block.norm2, T, E, blockEps), block.fc1, T, F, E), { T, F });
      x = engine.addScaled(x1, linear(up, block.fc2, T, E, F), { T, D: E, factor: 1 });
    }
    const first = engine.gatherRows(
      x,
      Int32Array.from({ length: K }, (_, k) => k),
      { T, D: E },
    );
    return engine.read(norm(linear(first, tensors.out, K, D, E), tensors.outNorm, K, D, normEps));
  });
}

const worst = (a: Float32Array, b: Float32Array) => Math.max(...a.map((x, i) => Math.abs(x - b[i])));

test.each([1, 4, 9])("queries of %i tokens are those of the same passes by an engine's operations [V6]", async (M) => {
  const adapter = seeingQueries(tinyConfig());
  const tokens = Float32Array.from({ length: 5 * M }, (_, i) => normal(3, i));
  const found = visualQueries(adapter, shapeOf(adapter), tokens);
  expect(found).toHaveLength(3 * 12);
  expect(worst(found, await queriesByEngine(adapter, tokens))).toBeLessThan(5e-6);
});

test.skipIf(reason !== "")(`queries of two photos are those of torch, rounded once [V6]${reason}`, async () => {
  const config = await readModelConfig(sharedPath("golden/llama_gqa/base"));
  const sizes = { featureSize: 24, embedSize: 16, blocks: 2, heads: 4, mlpSize: 32, blockEps: 1e-6, normEps: 1e-5 };
  const vision = { fusion: "query", ...sizes, missingImage: "none" } as const;
  const gates = { gateSharing: "per-head", gateActivation: "tanh" } as const;
  const layout = adapterLayout({ promptLength: 4, adaptedLayers: 3, ...gates, vision }, config);
  const values = goldenValues("multimodal_query");
  const adapter = { layout, params: values.params("params_full/", layout) };
  const [tokens, expected] = [values.f32("tower_tokens"), values.f32("visual_query_out")];
  for (const n of [0, 1]) {
    const own = visualQueries(adapter, vision, tokens.subarray(n * 17 * 24, (n + 1) * 17 * 24));
    expect(worst(own, expected.subarray(n * own.length, (n + 1) * own.length))).toBeLessThan(5e-6);
  }
});

test("no whole number of tokens is refused", () => {
  const adapter = seeingQueries(tinyConfig());
  for (const length of [0, 7]) {
    expect(() => visualQueries(adapter, shapeOf(adapter), new Float32Array(length))).toThrow(
      `Cannot see an image of ${length} numbers: tokens of 5 numbers each are needed`,
    );
  }
});
