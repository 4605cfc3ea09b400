/**
 * Values of adapters with images that our own reference in PyTorch computed (shared/golden, spec of images §3): the whole model on
 * any engine must reproduce them.
 */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { adapterLayout } from "../src/adapter/kinds/adaption_prompt.ts";
import type { AdapterState } from "../src/adapter/kinds/kind.ts";
import type { AdapterLayout } from "../src/adapter/layout.ts";
import { partNumbers, type TrainedPart } from "../src/adapter/parameters.ts";
import type { Cell, ImageRows } from "../src/cell/tokens.ts";
import type { Engine } from "../src/engine/engine.ts";
import { parseSafetensors } from "../src/formats/safetensors.ts";
import { createModel, type DecoderModel } from "../src/model/decoder.ts";
import { cellGradient, cellLosses, sum } from "../src/model/gradient.ts";
import { oneSequence, tokenLogits } from "../src/model/logits.ts";
import { loadWeights, readModelConfig } from "../src/node.ts";
import { adamWStep, createAdamWState, updateRanges } from "../src/optim/adamw.ts";
import { absent, sharedPath } from "./shared.ts";

const reason = absent("golden/multimodal_global");

/** @param tolerance on logits, losses, and gradients relative to their largest; the spec asks for 1e-5. */
export function describeImageGolden(name: string, open: () => Engine | Promise<Engine>, tolerance: number): void {
  test.skipIf(reason !== "")(
    `engine ${name}, golden images: logits, loss and gradients of a batch of one, another, no and two images, five steps, greedy tokens [V5]${reason}`,
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
      await expectSteps(model, adapters.init, { cell, values });
      for (const s of [0, 1, 2, 3]) {
        expect(await greedy(model, adapters.full, { cell, s })).toEqual(values.greedy(s));
      }
    },
  );

  test.skipIf(reason !== "")(
    `engine ${name}, golden images: a text without an image gets the projection of zeros if that was chosen [V5]${reason}`,
    async () => {
      const { model, values, cell, adapters } = await openCase(await open(), "zeros");
      const logits = await tokenLogits(model, adapters.full, cell);
      expectNear(logits, values.rows("logits_full_missing_zeros"), tolerance, "logits");
      expect(logits).not.toEqual(await tokenLogits(model, { ...adapters.full, ...text(adapters.full) }, cell));
    },
  );
}

/** The text adapter inside. */
function text({ layout, params }: AdapterState): Pick<AdapterState, "layout" | "params"> {
  const { vision: _, ...shape } = layout.shape;
  const last = layout.table.find(({ part }) => part === "projection");
  const table = layout.table.filter(({ part }) => part !== "projection");
  return {
    layout: { ...layout, shape, table, length: last?.offset ?? layout.length },
    params: params.subarray(0, last?.offset),
  };
}

async function openCase(engine: Engine, missingImage: "none" | "zeros") {
  const folder = sharedPath("golden/llama_gqa/base");
  const config = await readModelConfig(folder);
  const image = await loadWeights(folder, config, { weightDtypes: engine.weightDtypes });
  const model = createModel(engine, config, image);
  const vision = { fusion: "global", featureSize: 96, projectionSize: 12, missingImage } as const;
  const layout = adapterLayout({ promptLength: 5, adaptedLayers: 2, vision }, config);
  const values = goldenValues("multimodal_global");
  const init = values.params("init/", layout);
  const full = values.params("params_full/", layout);
  const gates = init.slice();
  for (const part of layout.table) if (part.part === "gate") gates.set(partNumbers(part, full), part.offset);
  const one = values.f32("features_per_image");
  const both = Float32Array.from({ length: 96 }, (_, i) => ((one[i] ?? 0) + (one[96 + i] ?? 0)) / 2);
  const rows: ImageRows = { values: Float32Array.of(...one, ...both), size: 96 };
  const cell = { ...values.cell(), images: { rowOf: Int32Array.of(0, 1, -1, 2), rows } };
  const adapters = { init: { layout, params: init }, gates: { layout, params: gates }, full: { layout, params: full } };
  return { model, values, cell, adapters };
}

/** The batch of a case. */
export interface CaseData {
  readonly cell: Cell;
}

/**
 * Five steps of AdamW on one cell: the losses, and the parameters after them.
 * @param settled returns what is compared of the parameters. @default all
 */
export async function expectSteps(
  model: DecoderModel,
  { layout, params: start }: AdapterState,
  { cell, values }: CaseData & { values: ReturnType<typeof goldenValues> },
  settled = (numbers: Float32Array): Float32Array => numbers,
): Promise<void> {
  const params = start.slice();
  const state = createAdamWState(layout.length);
  const options = { beta1: 0.9, beta2: 0.95, eps: 1e-8, ranges: updateRanges(layout.table, "all", 0.02) };
  const losses: number[] = [];
  for (let step = 0; step < 5; step++) {
    const { lossSum, gradient } = await cellGradient(model, { layout, params }, cell, 1 / cell.rows_R.length);
    losses.push(lossSum / cell.rows_R.length);
    adamWStep(params, gradient, state, 0.05, options);
  }
  expectNear(Float32Array.from(losses), values.f32("losses_adamw5"), 1e-5, "losses of five steps");
  expectNear(settled(params), settled(values.params("adamw5/", layout)), 1e-4, "parameters after five steps");
}

/** The first four tokens of a sequence, continued by eight. */
export async function greedy(
  model: DecoderModel,
  adapter: AdapterState,
  { cell, s }: CaseData & { readonly s: number },
): Promise<number[]> {
  const start = cell.cuSeqlens[s] ?? 0;
  const ids = [...cell.ids_T.subarray(start, start + 4)];
  const images = cell.images && { ...cell.images, rowOf: cell.images.rowOf.slice(s, s + 1) };
  while (ids.length < 12) {
    const last = Int32Array.of(ids.length - 1);
    const logits = await tokenLogits(model, adapter, { ...oneSequence(ids), images }, last);
    ids.push(logits.indexOf(Math.max(...logits)));
  }
  return ids;
}

/** The tensors of a case. */
export function goldenValues(which: string, file = "tensors.safetensors") {
  const path = sharedPath(`golden/${which}/${file}`);
  const { tensors } = parseSafetensors(new Uint8Array(readFileSync(path)), path);
  const bytes = (name: string) => {
    const found = tensors.get(name);
    if (!found) throw new Error(`no ${name} in ${path}`);
    return found.bytes.slice().buffer;
  };
  const f32 = (name: string) => new Float32Array(bytes(name));
  const ints = (name: string) => Array.from(new BigInt64Array(bytes(name)), Number);
  const batch = () => {
    const lengths = [0, 1, 2, 3].map((s) => sum(Float32Array.from(ints("attention_mask").slice(9 * s, 9 * s + 9))));
    return { lengths, kept: lengths.flatMap((length, s) => Array.from({ length }, (_, t) => 9 * s + t)) };
  };
  return {
    f32,
    /** A [4, 9, V] tensor as the rows of the packed batch. */
    rows: (name: string) => {
      const all = f32(name);
      const V = all.length / 36;
      const { kept } = batch();
      return Float32Array.from(kept.flatMap((row) => [...all.subarray(row * V, (row + 1) * V)]));
    },
    /** @param start what is not there has. @default zeros: it does not move */
    params(prefix: string, layout: AdapterLayout, start: Float32Array = new Float32Array(layout.length)): Float32Array {
      const params = start.slice();
      for (const part of layout.table) {
        const isOwn = tensors.has(`${prefix}${part.name}`);
        const name = `${prefix}${isOwn ? part.name : part.part}`;
        if (!tensors.has(name)) continue;
        const all = f32(name);
        const length = partNumbers(part, params).length;
        const alike = layout.table.filter((other) => other.part === part.part);
        const at = isOwn ? 0 : alike.indexOf(part) * length;
        partNumbers(part, params).set(all.subarray(at, at + length));
      }
      return params;
    },
    isStill: (prefix: string, { layer, part, name }: TrainedPart) =>
      !tensors.has(`${prefix}${layer === undefined ? name : part}`),
    greedy: (s: number) => ints("generate_greedy").slice(12 * s, 12 * s + 12),
    cell(): Cell {
      const [ids, labels] = [ints("input_ids"), ints("labels")];
      const { lengths, kept } = batch();
      const cuSeqlens = Int32Array.from([0, 1, 2, 3, 4], (s) => sum(Float32Array.from(lengths.slice(0, s))));
      const predicts = kept.map((row, t) => !cuSeqlens.includes(t + 1) && labels[row + 1] !== -100);
      const rows_R = Int32Array.from(predicts.flatMap((is, t) => (is ? [t] : [])));
      return {
        ids_T: Int32Array.from(kept, (row) => ids[row] ?? 0),
        positions_T: Int32Array.from(kept, (row) => row % 9),
        cuSeqlens,
        rows_R,
        labels_R: rows_R.map((t) => labels[(kept[t] ?? 0) + 1] ?? 0),
      };
    },
  };
}

/** Every number is as near as `tolerance` of the largest, or of 1 for what is no gradient. */
export function expectNear(actual: Float32Array, expected: Float32Array, tolerance: number, what: string): void {
  expect(actual).toHaveLength(expected.length);
  const most = expected.reduce((max, x) => Math.max(max, Math.abs(x)), 0);
  const worst = actual.reduce((max, x, i) => Math.max(max, Math.abs(x - (expected[i] ?? 0))), 0);
  expect(worst, what).toBeLessThanOrEqual(tolerance * Math.max(most, what.startsWith("gradient") ? 0 : 1));
}
