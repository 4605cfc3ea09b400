/**
 * Values of adapters that tune their base (LLaMA-Adapter V2) that our own reference in PyTorch computed (shared/golden, spec of V2): the
 * whole model on any engine must reproduce them.
 */
import { expect, test } from "vitest";
import { adapterLayout } from "../src/adapter/kinds/adaption_prompt.ts";
import type { TuningShape } from "../src/adapter/layout.ts";
import { initParameters, partNumbers } from "../src/adapter/parameters.ts";
import type { DType, Engine } from "../src/engine/engine.ts";
import { widen } from "../src/formats/dtype.ts";
import { createModel } from "../src/model/decoder.ts";
import { cellGradient, cellLosses, sum } from "../src/model/gradient.ts";
import { tokenLogits } from "../src/model/logits.ts";
import { weightOf } from "../src/model/weights.ts";
import { loadWeights, readModelConfig } from "../src/node.ts";
import { expectNear, goldenValues } from "./image_golden.ts";
import { absent, sharedPath } from "./shared.ts";

const reason = absent("golden/v2_output_scale");
const maps = ["q", "k", "v", "o", "gate", "up", "down"] as const;

/** Of each case: what is tuned, and whether prompts and gates are frozen values of a file of their own. */
const cases = {
  v2_output_scale: {
    tuning: { maps, vectors: "scale", norms: true, head: true },
    gateActivation: "none",
    isFixed: false,
  },
  v2_bias_norm: {
    tuning: { maps: maps.filter((map) => map !== "k" && map !== "v"), vectors: "bias", norms: true },
    gateActivation: "tanh",
    isFixed: true,
  },
} as const satisfies Record<string, { tuning: TuningShape; gateActivation: string; isFixed: boolean }>;

/** @param tolerance on logits, losses, and gradients relative to their largest; the spec asks for 1e-5. */
export function describeTuningGolden(name: string, open: () => Engine | Promise<Engine>, tolerance: number): void {
  for (const which of ["v2_output_scale", "v2_bias_norm"] as const) {
    test.skipIf(reason !== "")(
      `engine ${name}, golden ${which}: logits, loss and every gradient [W2]${reason}`,
      async () => {
        const { model, values, layout, start } = await openCase(await open(), which);
        const cell = values.cell();
        const labelled = cell.rows_R.length;
        for (const state of ["init", "full"] as const) {
          const adapter = { layout, params: values.params(`params_${state}/`, layout, start) };
          const logits = await tokenLogits(model, adapter, cell);
          expectNear(logits, values.rows(`logits_${state}`), tolerance, state);
          const isFresh = state === "init" && !cases[which].isFixed;
          const wanted = isFresh ? await tokenLogits(model, undefined, cell) : logits;
          expect(logits, "a fresh one has the bits of the base").toEqual(wanted);
          const { lossSum, gradient } = await cellGradient(model, adapter, cell, 1 / labelled);
          expect(Math.abs(lossSum / labelled - (values.f32(`loss_${state}`)[0] ?? 0)), state).toBeLessThan(1e-5);
          expect(sum(await cellLosses(model, adapter, cell)), "forward alone gives the same loss").toBe(lossSum);
          const expected = values.params(`grad_${state}/`, layout);
          for (const part of layout.table) {
            if (cases[which].isFixed && (part.part === "prompt" || part.part === "gate")) continue;
            const [own, known] = [partNumbers(part, gradient), partNumbers(part, expected)];
            expectNear(own, known, tolerance, `gradient ${state} ${part.name}`);
          }
        }
      },
    );
  }
}

async function openCase(engine: Engine, which: keyof typeof cases) {
  const folder = sharedPath("golden/llama_gqa/base");
  const config = await readModelConfig(folder);
  const image = await loadWeights(folder, config, { weightDtypes: engine.weightDtypes });
  const model = createModel(engine, config, image);
  const { tuning, gateActivation, isFixed } = cases[which];
  const shape = { promptLength: 5, adaptedLayers: 3, gateSharing: "per-head", gateActivation, tuning } as const;
  const layout = adapterLayout(shape, config);
  const baseTensor = (weight: string): Float32Array => {
    const tensor = weightOf(image, weight);
    if (!tensor) throw new Error(`no ${weight} in ${folder}`);
    const numbers = new Float32Array(tensor.shape.reduce((a, b) => a * b));
    widen(tensor.dtype as DType, tensor.bytes, numbers);
    return numbers;
  };
  const fresh = initParameters(layout.table, 1, 1, baseTensor);
  const start = isFixed ? goldenValues(which, "fixed.safetensors").params("", layout, fresh) : fresh;
  return { model, layout, start, values: goldenValues(which) };
}
