/**
 * Values of the fusion `query` that our own reference in PyTorch computed (shared/golden, spec of images §4): the whole model on any
 * engine must reproduce them.
 */
import { expect, test } from "vitest";
import { adapterLayout } from "../src/adapter/kinds/adaption_prompt.ts";
import type { AdapterState } from "../src/adapter/kinds/kind.ts";
import type { QueryShape } from "../src/adapter/layout.ts";
import { partLength, partNumbers } from "../src/adapter/parameters.ts";
import type { Cell, ImageRows } from "../src/cell/tokens.ts";
import type { Engine } from "../src/engine/engine.ts";
import { createModel } from "../src/model/decoder.ts";
import { cellGradient, cellLosses, sum } from "../src/model/gradient.ts";
import { tokenLogits } from "../src/model/logits.ts";
import { loadWeights, readModelConfig } from "../src/node.ts";
import { expectNear, expectSteps, goldenValues, greedy } from "./image_golden.ts";
import { absent, sharedPath } from "./shared.ts";

const reason = absent("golden/multimodal_query");

/** @param tolerance on logits, losses, and gradients relative to their largest; the spec asks for 1e-5. */
export function describeQueryGolden(name: string, open: () => Engine | Promise<Engine>, tolerance: number): void {
  test.skipIf(reason !== "")(
    `engine ${name}, golden visual queries: logits, loss and gradients of a batch of one, another, no and the first image, five steps, greedy tokens [V6]${reason}`,
    async () => {
      const { model, values, cell, adapters } = await openCase(await open(), "none");
      const labelled = cell.rows_R.length;
      for (const [which, adapter] of Object.entries(adapters)) {
        const logits = await tokenLogits(model, adapter, cell);
        expectNear(logits, values.rows(`logits_${which}`), tolerance, which);
        const { lossSum, gradient } = await cellGradient(model, adapter, cell, 1 / labelled);
        expect(Math.abs(lossSum / labelled - (values.f32(`loss_${which}`)[0] ?? 0)), which).toBeLessThan(5e-6);
        expect(sum(await cellLosses(model, adapter, cell)), "forward alone gives the same loss").toBe(lossSum);
        expectNear(gradient, values.params(`grad_${which}/`, adapter.layout), tolerance, `gradient ${which}`);
        for (const part of adapter.layout.table) {
          const isStill = partNumbers(part, gradient).every((g) => g === 0);
          expect(isStill, `${part.name}, ${which}`).toBe(values.isStill(`grad_${which}/`, part));
        }
      }
      const fresh = await tokenLogits(model, adapters.init, cell);
      expect(fresh, "gates of zero: the bits of the base").toEqual(await tokenLogits(model, undefined, cell));
      await expectSteps(model, adapters.init, { cell, values }, (params) => withoutKeyBiases(adapters.init, params));
      for (const s of [0, 1, 2, 3]) {
        expect(await greedy(model, adapters.full, { cell, s })).toEqual(values.greedy(s));
      }
    },
  );

  test.skipIf(reason !== "")(
    `engine ${name}, golden visual queries: a text without an image sees that of zeros if that was chosen [V6]${reason}`,
    async () => {
      const { model, values, cell, adapters } = await openCase(await open(), "zero-image");
      const logits = await tokenLogits(model, adapters.full, cell);
      expectNear(logits, values.rows("logits_full_missing_zero_image"), tolerance, "logits");
    },
  );
}

/**
 * Leaves out the biases of the blocks' keys: one vector for all keys moves every score of a query alike, so its gradient is 0, and
 * Adam's steps are made of rounding.
 */
function withoutKeyBiases({ layout }: Pick<AdapterState, "layout">, params: Float32Array): Float32Array {
  const settled = params.slice();
  for (const part of layout.table) {
    const E = partLength(part) / 3;
    if (part.name.endsWith("attn.qkv.bias")) partNumbers(part, settled).fill(0, E, 2 * E);
  }
  return settled;
}

async function openCase(engine: Engine, missingImage: QueryShape["missingImage"]) {
  const folder = sharedPath("golden/llama_gqa/base");
  const config = await readModelConfig(folder);
  const image = await loadWeights(folder, config, { weightDtypes: engine.weightDtypes });
  const model = createModel(engine, config, image);
  const sizes = { featureSize: 24, embedSize: 16, blocks: 2, heads: 4, mlpSize: 32, blockEps: 1e-6, normEps: 1e-5 };
  const vision = { fusion: "query", ...sizes, missingImage } as const;
  const gates = { gateSharing: "per-head", gateActivation: "tanh" } as const;
  const layout = adapterLayout({ promptLength: 4, adaptedLayers: 3, ...gates, vision }, config);
  const values = goldenValues("multimodal_query");
  const tokens = Float32Array.of(...values.f32("tower_tokens"), ...values.f32("zero_image_tokens"));
  const rows: ImageRows = { values: tokens, size: tokens.length / 3, missing: 2 };
  const cell: Cell = { ...values.cell(), images: { rowOf: Int32Array.of(0, 1, -1, 0), rows } };
  const adapters = {
    init: { layout, params: values.params("init/", layout) },
    full: { layout, params: values.params("params_full/", layout) },
  };
  return { model, values, cell, adapters };
}
