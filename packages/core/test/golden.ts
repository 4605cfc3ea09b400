/** Values that real PEFT 0.21.0 computed (shared/golden, spec §6.5): the whole model on any engine must reproduce them. */

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { readAdapterTensors } from "../src/adapter/files/peft.ts";
import { adapterLayout, layerParts } from "../src/adapter/kinds/adaption_prompt.ts";
import type { AdapterState } from "../src/adapter/kinds/kind.ts";
import type { AdapterLayout } from "../src/adapter/layout.ts";
import { partNumbers } from "../src/adapter/parameters.ts";
import type { Cell } from "../src/cell/tokens.ts";
import type { Engine } from "../src/engine/engine.ts";
import { parseSafetensors, type Tensor } from "../src/formats/safetensors.ts";
import { generate } from "../src/generate/generate.ts";
import { createModel, type DecoderModel } from "../src/model/decoder.ts";
import { cellGradient, cellLosses, sum } from "../src/model/gradient.ts";
import { oneSequence, tokenLogits } from "../src/model/logits.ts";
import { loadAdapter, loadWeights, readModelConfig } from "../src/node.ts";
import { adamWStep, createAdamWState, updateRanges } from "../src/optim/adamw.ts";
import { absent, sharedPath } from "./shared.ts";

/** Folders of golden values, and the rows of docs/models.md that they show. */
const peftCases = [
  "llama_mha [M-llama]",
  "llama_gqa [M-llama]",
  "llama3_rope [M-llama]",
  "mistral_gqa [M-mistral]",
  "gpt2 [M-gpt2]",
] as const;
/** Families that PEFT does not know: made by our own reference in PyTorch, whose gradients are off by up to 3e-5 themselves. */
const familyCases = [
  "families/gemma2 [M-gemma2]",
  "families/gemma3_text [M-gemma3_text]",
  "families/gpt_neox [M-gpt_neox]",
  "families/granite [M-granite]",
  "families/ministral [M-ministral]",
  "families/ministral3 [M-ministral3]",
  "families/mixtral [M-mixtral]",
  "families/olmo2 [M-olmo2]",
  "families/olmo3 [M-olmo3]",
  "families/phi3 [M-phi3]",
  "families/phi3_longrope [M-phi3]",
  "families/qwen3 [M-qwen3]",
  "families/qwen3_5_text [M-qwen3_5_text]",
  "families/qwen3_moe [M-qwen3_moe]",
  "families/smollm3 [M-smollm3]",
  "families/stablelm [M-stablelm]",
] as const;
/** All of them. */
export const goldenCases: readonly string[] = [...peftCases, ...familyCases];
/**
 * Models of which bf16 says little. The router of mixtral takes other experts for two of 18 tokens, in transformers too, whose logits
 * move by 0.28; qwen3_5_text divides keys that are nearly 0 by their length (`CONDITIONED`).
 */
const decidedByRounding = ["families/mixtral [M-mixtral]", "families/qwen3_5_text [M-qwen3_5_text]"];
const FAMILY_GRADIENTS = 3e-5;
/** AdamW's first steps are as long for a tiny gradient as for a large one, and show its rounding. */
const FAMILY_STEPS = 1e-3;
/**
 * One rounding of all weights of this model (6e-8) moves its logits by up to 1e-5 and its gradient at gates of 0 by up to 7e-4 of the
 * largest number: a key is nearly 0 where it is divided by its length. The gradient at the trained gates moves by 2e-5.
 */
const conditioned = "families/qwen3_5_text";
const CONDITIONED = { logits: 2e-5, "grad_init/": 7e-4, "grad/": 3e-5 } as const;
/** In 8 bits of arithmetic the gradient of their gates is off by some of its terms, which nearly cancel: it is held against this. */
const COARSE_GRADIENT = 0.5;

/**
 * @param tolerance on logits, losses, and gradients relative to their largest; spec §6.5 asks for 1e-5.
 * @param options.coarse arithmetic of 8 bits: losses are within the tolerance only, and what a rounding decides (AdamW's first
 * steps, which are as long for a tiny gradient as for a large one, and greedy tokens) is left out.
 */
export function describeGolden(
  name: string,
  open: () => Engine | Promise<Engine>,
  tolerance: number,
  { coarse = false }: { coarse?: boolean } = {},
): void {
  const cases = goldenCases.filter((title) => !coarse || !decidedByRounding.includes(title));
  describe(`engine ${name}, golden`, () => {
    describe.each(cases)("%s", (title) => {
      const golden = title.slice(0, title.indexOf(" "));
      const reason = absent(`golden/${golden}`);
      test.skipIf(reason !== "")(
        `base and adapted logits, loss, gradients, AdamW, greedy tokens [B2, B3, B5, C1, C2, C4, P20, L4, M-load, M-train, M-generate, M-engines]${reason}`,
        async () => {
          const folder = sharedPath(`golden/${golden}`);
          const values = goldenValues(`${folder}/tensors.safetensors`);
          const engine = await open();
          const config = await readModelConfig(`${folder}/base`);
          const image = await loadWeights(`${folder}/base`, config, { weightDtypes: engine.weightDtypes });
          const model = createModel(engine, config, image);
          const trained = await loadAdapter(`${folder}/adapter`, config);
          const layout = adapterLayout(trained.shape, config);
          const cell = goldenCell(values);
          const labelled = cell.rows_R.length;
          const adapted: AdapterState = { layout, params: trained.params };
          const fresh: AdapterState = { layout, params: values.adapter("init/", layout) };

          const ofLogits = golden === conditioned ? CONDITIONED.logits : 0;
          const nearLogits = Math.max(tolerance, ofLogits);
          const base = await tokenLogits(model, undefined, cell);
          expectNear(base, values.rows("logits_base"), nearLogits, "base logits");
          expect(await tokenLogits(model, fresh, cell), "zero gates: the bits of the base").toEqual(base);
          expectNear(
            await tokenLogits(model, adapted, cell),
            values.rows("logits_adapted"),
            nearLogits,
            "adapted logits",
          );
          if (values.has("input_ids_long")) {
            const long = oneSequence(values.ints("input_ids_long"));
            const what = "of a sequence beyond the first context";
            expectNear(
              await tokenLogits(model, undefined, long),
              values.f32("logits_base_long"),
              tolerance,
              `base ${what}`,
            );
            expectNear(
              await tokenLogits(model, adapted, long),
              values.f32("logits_adapted_long"),
              tolerance,
              `adapted ${what}`,
            );
          }
          const shifted = oneSequence(cell.ids_T.subarray(0, 9), 11);
          const moved = await tokenLogits(model, adapted, shifted);
          expectNear(moved, values.f32("logits_adapted_row0_positions_plus11"), nearLogits, "logits at positions + 11");

          for (const [state, which, gradients] of [
            [fresh, "loss_init", "grad_init/"],
            [adapted, "loss_adapted", "grad/"],
          ] as const) {
            const { lossSum, gradient } = await cellGradient(model, state, cell, 1 / labelled);
            const loss = values.f32(which)[0];
            const most = coarse ? tolerance * loss : 5e-6;
            expect(Math.abs(lossSum / labelled - loss), which).toBeLessThanOrEqual(most);
            expect(sum(await cellLosses(model, state, cell)), "forward alone gives the same loss").toBe(lossSum);
            const isFamily = golden.startsWith("families/");
            const own = golden === conditioned ? CONDITIONED[gradients] : FAMILY_GRADIENTS;
            const near = isFamily ? Math.max(tolerance, own) : tolerance;
            const least = isFamily && coarse ? COARSE_GRADIENT : 0;
            expectNear(gradient, values.adapter(gradients, layout), near, gradients, least);
          }
          const { gradient } = await cellGradient(model, fresh, cell, 1 / labelled);
          for (const { prompt, gate } of layerParts(layout)) {
            expect(
              partNumbers(prompt, gradient).every((g) => g === 0),
              "prompts do not move at zero gates",
            ).toBe(true);
            expect(gradient[gate.offset], "gates do").not.toBe(0);
          }

          if (coarse) return;
          await expectAdamW(model, fresh, cell, values, golden.startsWith("families/") ? FAMILY_STEPS : 1e-4);
          const tokens: number[] = [];
          const prompt = [...cell.ids_T.subarray(0, 4)];
          for await (const id of generate(model, adapted, prompt, { maxNewTokens: 12, eosTokenIds: [] }))
            tokens.push(id);
          expect([...prompt, ...tokens], "greedy tokens").toEqual(values.ints("generate_greedy"));
        },
      );
    });
  });
}

/** Five steps as the fixture was made: lr 0.05, betas (0.9, 0.95), decay 0.02 on all, the same batch each time. */
async function expectAdamW(
  model: DecoderModel,
  fresh: AdapterState,
  cell: Cell,
  values: GoldenValues,
  tolerance: number,
): Promise<void> {
  const { layout } = fresh;
  const params = fresh.params.slice();
  const state = createAdamWState(layout.length);
  const options = { beta1: 0.9, beta2: 0.95, eps: 1e-8, ranges: updateRanges(layout.table, "all", 0.02) };
  const losses: number[] = [];
  for (let step = 0; step < 5; step++) {
    const { lossSum, gradient } = await cellGradient(model, { layout, params }, cell, 1 / cell.rows_R.length);
    losses.push(lossSum / cell.rows_R.length);
    adamWStep(params, gradient, state, 0.05, options);
  }
  expectNear(Float32Array.from(losses), values.f32("losses_adamw5"), 1e-5, "losses of five steps");
  expectNear(params, values.adapter("adamw5/", layout), tolerance, "parameters after five steps");
}

export interface GoldenValues {
  has(name: string): boolean;
  f32(name: string): Float32Array;
  ints(name: string): number[];
  /** A [2, 9, V] tensor as the 15 rows of the packed batch: row 1 is padded after its 6th token. */
  rows(name: string): Float32Array;
  adapter(prefix: string, layout: AdapterLayout): Float32Array;
}

export function goldenValues(path: string): GoldenValues {
  const { tensors } = parseSafetensors(new Uint8Array(readFileSync(path)), path);
  const tensor = (name: string): Tensor => {
    const found = tensors.get(name);
    if (!found) throw new Error(`no ${name} in ${path}`);
    return found;
  };
  const f32 = (name: string) => new Float32Array(tensor(name).bytes.slice().buffer);
  return {
    has: (name) => tensors.has(name),
    f32,
    ints: (name) => Array.from(new BigInt64Array(tensor(name).bytes.slice().buffer), Number),
    rows(name) {
      const all = f32(name);
      const V = all.length / 18;
      return all.slice(0, 15 * V);
    },
    adapter(prefix, layout) {
      const own = [...tensors].filter(([name]) => name.startsWith(prefix));
      return readAdapterTensors(new Map(own.map(([name, t]) => [name.slice(prefix.length), t])), layout, path).params;
    },
  };
}

export function goldenCell(values: GoldenValues): Cell {
  const [ids, labels] = [values.ints("input_ids"), values.ints("labels")];
  const rows: number[] = [];
  for (const t of Array.from({ length: 15 }, (_, i) => i))
    if (t !== 8 && t !== 14 && labels[t + 1] !== -100) rows.push(t);
  return {
    ids_T: Int32Array.from(ids.slice(0, 15)),
    positions_T: Int32Array.from({ length: 15 }, (_, t) => t % 9),
    cuSeqlens: Int32Array.of(0, 9, 15),
    rows_R: Int32Array.from(rows),
    labels_R: Int32Array.from(rows, (t) => labels[t + 1]),
  };
}

/** Relative to the largest number, or to `least` if that is larger: gradients are small, all else is compared absolutely below 1. */
function expectNear(
  actual: Float32Array,
  expected: Float32Array,
  tolerance: number,
  what: string,
  least = what.startsWith("grad") ? 0 : 1,
): void {
  expect(actual.length, what).toBe(expected.length);
  let worst = 0;
  const scale = expected.reduce((max, x) => Math.max(max, Math.abs(x)), 0) || 1;
  for (const [i, x] of expected.entries()) {
    const error = Math.abs(actual[i] - x) / Math.max(scale, least);
    worst = Math.max(worst, error); // a NaN stays
  }
  expect(worst, `${what}: largest difference`).toBeLessThanOrEqual(tolerance);
}
