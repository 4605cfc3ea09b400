/**
 * The worker's pure function: (parameter snapshot, cell) → (loss, gradient of the trained parts). Base weights are frozen;
 * layers below the lowest adapted one run forward only and keep nothing; backward stops at the lowest adapter.
 */
import type { AdapterState, BoundGradient } from "../adapter/kinds/kind.ts";
import { kindOf } from "../adapter/kinds/known.ts";
import { labelledRows } from "../cell/labelled.ts";
import type { Cell } from "../cell/tokens.ts";
import type { DeviceArray } from "../engine/engine.ts";
import { wideArithmeticOf } from "../kernels/wide_linear.ts";
import { checkLengths } from "../shape.ts";
import type { OwnedGradient } from "./attention.ts";
import { layerBackward, type SavedLayer } from "./block.ts";
import { bindCellImages, type CellImages } from "./cell_images.ts";
import type { DecoderModel } from "./decoder.ts";
import { preparePrompts, runLayers } from "./forward.ts";
import { imagePromptsBackward, imageValuesBackward } from "./images.ts";
import { labelledLoss } from "./labelled_loss.ts";
import { leavesRows } from "./labelled_rows.ts";
import { openPass, type Pass } from "./pass.ts";
import { promptKvBackward } from "./prompt_kv.ts";
import { type AdapterPrompts, type ImageSums, type LayerPrompt, promptsForAll, type TokenPrompts } from "./prompts.ts";
import { rowsOfCells } from "./shared_cells.ts";
import type { LayerTuningGradient, MapGradient } from "./tuned.ts";
import { readTuning, readVectors, type TuningGradient } from "./tuning_gradient.ts";

/** A cell of a pass, and the adapter that trains on it. */
export interface CellTask {
  readonly adapter: AdapterState;
  readonly cell: Cell;
  /** 1 / labelled tokens of the whole step: the gradient is this cell's share of that of the step's mean loss. */
  readonly scale: number;
  /**
   * Computes beginnings that samples of the cell share once.
   * @default false
   */
  readonly sharesBeginnings?: boolean | undefined;
  /**
   * Computes the last layer for labelled tokens alone, but for keys and values. On engines that keep rows apart the bits are those of
   * a pass that computes all; a pass does so if all its cells do.
   * @default false
   */
  readonly skipsUnlabelled?: boolean | undefined;
  /** Receives the gradient, as long as the adapter's parameters, whatever was in it. @default new memory */
  readonly into?: Float32Array | undefined;
}

/** `lossSum` in nats over the cell's labelled tokens; `gradient` as flat as the adapter's `params`. */
export interface CellGradient {
  readonly lossSum: number;
  readonly gradient: Float32Array;
}

/**
 * Returns loss and gradient of one cell, see `cellGradients`.
 *
 * @param scale multiplies the gradient, not the loss: 1 / labelled tokens of the step gives that of the mean.
 * @example
 * const { lossSum, gradient } = await cellGradient(model, adapter, cell, 1 / cell.rows_R.length);
 */
export async function cellGradient(
  model: DecoderModel,
  adapter: AdapterState,
  cell: Cell,
  scale: number,
  more: Omit<CellTask, "adapter" | "cell" | "scale"> = {},
): Promise<CellGradient> {
  const [own] = await cellGradients(model, [{ adapter, cell, scale, ...more }]);
  return own;
}

/**
 * Returns loss and gradient of several cells of one pass, each under its own adapter, in the order of `tasks`: `lossSum` in nats over
 * the labelled tokens, `gradient` as flat as the adapter's parameters. On engines that keep rows apart (docs/engines.md) a cell
 * has the bits that it has in a pass of its own. Neither base nor parameters change.
 *
 * @example
 * const scale = 1 / (cell.rows_R.length + otherCell.rows_R.length);
 * const [one, two] = await cellGradients(model, [{ adapter, cell, scale }, { adapter, cell: otherCell, scale }]);
 */
export async function cellGradients(model: DecoderModel, tasks: readonly CellTask[]): Promise<CellGradient[]> {
  const { engine } = model;
  for (const { adapter, into } of tasks) if (into) checkLengths({ into }, { numbers: adapter.layout.length });
  return engine.arena(async () => {
    const { cells, rows, own, shared } = rowsOfCells(model.config, tasks);
    const labelled =
      tasks.every(({ skipsUnlabelled, adapter }) => skipsUnlabelled && !adapter.layout.shape.tuning) &&
      leavesRows(model)
        ? labelledRows(rows.rows_R, rows.ids_T.length, cells.cuSeqlens, shared)
        : undefined;
    const pass = { ...openPass(model, cells, "packed", shared), labelled };
    const seen = tasks.map(({ adapter }, n) => bindCellImages(model, adapter, own[n]));
    const prompts = promptsOfTasks(model, tasks, seen, rows.bounds);
    const { y_TD, saved } = runLayers(model, rows, pass, prompts, true);
    const losses = tasks.map(({ cell, scale }) => ({ R: cell.rows_R.length, scale }));
    const T = labelled?.rows_U.length ?? rows.ids_T.length;
    const top = await labelledLoss(
      model,
      y_TD,
      { T, rows_R: labelled?.placeOf_R ?? rows.rows_R, labels_R: rows.labels_R, prompts },
      losses,
    );
    const { backs, tuned } = layersBackward(model, top.dy_TD, saved, pass, prompts);
    // Only now, and all at once: reading waits, and all work may be queued before.
    const tuning = await readTuning(model, tuned, top, prompts);
    const [nll_R, ...gradients] = await Promise.all([
      engine.read(top.nll_R),
      ...tasks.map((task, n) => readGradient(model, task, { backs: backs[n], tuning: tuning[n] }, seen[n], n)),
    ]);
    let row = 0;
    return tasks.map(({ cell }, n) => {
      const lossSum = sum(nll_R.subarray(row, (row += cell.rows_R.length)));
      return { lossSum, gradient: gradients[n] };
    });
  });
}

/** The prompts of every task for the tokens of its cell; tasks of one adapter share its keys and values, a task without one has none. */
export function promptsOfTasks(
  model: DecoderModel,
  tasks: readonly { readonly adapter: AdapterState | undefined }[],
  seen: readonly (CellImages | undefined)[],
  bounds: readonly number[],
): TokenPrompts[] {
  const made = new Map<AdapterState | undefined, AdapterPrompts>();
  return tasks.map(({ adapter }, n) => {
    const prompts = made.get(adapter) ?? preparePrompts(model, adapter);
    made.set(adapter, prompts);
    const start = bounds[n];
    const images = seen[n]?.ranges.map((own) => {
      return { ...own, tokens: [start + own.tokens[0], start + own.tokens[1]] as const };
    });
    return { prompts, scale: 1, tokens: [start, bounds[n + 1]], images };
  });
}

interface PromptsGradient {
  readonly dprompt_KD: DeviceArray;
  readonly dgate_H: DeviceArray;
  /** Of the vectors that tune keys and values, through the prompts. */
  readonly vectors: MapGradient | undefined;
}

/** The gradient of one adapted layer, of what the kind of its adapter bound there; still on the engine. */
interface LayerGradient {
  readonly layer: number;
  /** Of its own prompts; undefined if no token attended to them. */
  readonly prompts: PromptsGradient | undefined;
  /** Of the prompts of images that its tokens attended to, in their order. */
  readonly images: readonly OwnedGradient[];
  /** For the images that tokens of the pass saw beside their prompts. */
  readonly sums: ImageSums | undefined;
}

/** Backward from the top to the lowest adapted layer: the gradients of every range's layers, downwards, and of what is tuned, by layer. */
function layersBackward(
  model: DecoderModel,
  top_TD: DeviceArray,
  saved: ReadonlyMap<number, SavedLayer>,
  pass: Pass,
  ranges: readonly TokenPrompts[],
): { backs: readonly (readonly LayerGradient[])[]; tuned: ReadonlyMap<number, LayerTuningGradient> } {
  const backs = ranges.map((): LayerGradient[] => []);
  const tuned = new Map<number, LayerTuningGradient>();
  const isTuned = ranges.some(({ prompts }) => prompts.tuning);
  const lowest = Math.min(...saved.keys());
  let dy_TD: DeviceArray | undefined = top_TD;
  for (let i = model.layers.length - 1; i >= lowest; i--) {
    const kept = saved.get(i);
    if (!kept || !dy_TD) throw new RangeError(`Cannot run layer ${i} backward: it kept nothing`);
    const { sets, images: sums, dx_TD, tuning } = layerBackward(model, i, dy_TD, kept, pass, isTuned || i > lowest);
    tuned.set(i, tuning);
    for (const [range, { prompts }] of ranges.entries()) {
      const own = sets.filter((set) => set.range === range);
      const bound = prompts.layers.get(i);
      if (!bound || own.length === 0) continue;
      const texts = own.filter(({ of }) => !of);
      const images = own.filter(({ of }) => of);
      backs[range].push({ layer: i, prompts: promptsBackward(model, i, bound, texts), images, sums });
    }
    dy_TD = dx_TD;
  }
  return { backs, tuned };
}

/** Adds up what several stretches of tokens say of a layer's own prompts. */
function promptsBackward(
  model: DecoderModel,
  layer: number,
  bound: LayerPrompt,
  [first, ...others]: readonly OwnedGradient[],
): LayerGradient["prompts"] {
  if (!first) return undefined;
  const { engine, config } = model;
  let { dkv_KY, dgate_H } = first;
  for (const next of others) {
    const sums = [
      engine.addScaled(dkv_KY, next.dkv_KY, { T: bound.K, D: 2 * config.kvHeads * config.headDim, factor: 1 }),
      engine.addScaled(dgate_H, next.dgate_H, { T: 1, D: config.heads, factor: 1 }),
    ];
    engine.free(dkv_KY, dgate_H, next.dkv_KY, next.dgate_H);
    [dkv_KY, dgate_H] = sums;
  }
  return { ...promptKvBackward(model, model.layers[layer], dkv_KY, bound), dgate_H };
}

async function readGradient(
  model: DecoderModel,
  { adapter, into }: CellTask,
  { backs, tuning }: { readonly backs: readonly LayerGradient[]; readonly tuning: TuningGradient | undefined },
  seen: CellImages | undefined,
  range: number,
): Promise<Float32Array> {
  const { engine, config } = model;
  const { promptLength: K } = adapter.layout.shape;
  const bound = await Promise.all(
    backs.map(async ({ layer, prompts, ...ofImages }): Promise<BoundGradient> => {
      const [dprompt_KD, dgate_H] = prompts
        ? await Promise.all([engine.read(prompts.dprompt_KD), engine.read(prompts.dgate_H)])
        : [new Float32Array(K * config.hiddenSize), new Float32Array(config.heads)];
      const dkeysValues = prompts?.vectors && (await readVectors(engine, prompts.vectors));
      const ofText = { layer, dprompt_KD, dgate_H, dkeysValues };
      return seen ? withImages(model, ofText, ofImages, seen, range) : ofText;
    }),
  );
  const gradient = into?.fill(0) ?? new Float32Array(adapter.layout.length);
  kindOf(adapter).pullBack(bound, adapter, gradient, { images: seen?.images, wide: wideArithmeticOf(engine), tuning });
  return gradient;
}

/** Adds the gradients of images to those of a layer's gates, and the gradient of their rows. */
async function withImages(
  model: DecoderModel,
  { layer, dprompt_KD, dgate_H }: BoundGradient,
  { images, sums }: Pick<LayerGradient, "images" | "sums">,
  { prompts }: CellImages,
  range: number,
): Promise<BoundGradient> {
  const { dimages, dgate_H: more_H } = await (sums && prompts.stand === "beside"
    ? imageValuesBackward(model, layer, prompts, sums, range)
    : imagePromptsBackward(model, layer, prompts, images));
  return { layer, dprompt_KD, dgate_H: dgate_H.map((dgate, h) => dgate + more_H[h]), dimages };
}

/**
 * Returns for each labelled token, in the order of `cell.rows_R`, its negative log-likelihood in nats, and 1 if greedy decoding
 * would have taken it. A sample whose tokens are all hit is exactly what greedy decoding answers. Without an adapter: of the base.
 *
 * @example
 * const { nll_R, hit_R } = await cellScores(model, adapter, cell);
 * const accuracy = hit_R.reduce((a, b) => a + b, 0) / nll_R.length;
 */
export async function cellScores(
  model: DecoderModel,
  adapter: AdapterState | undefined,
  cell: Cell,
): Promise<{ nll_R: Float32Array; hit_R: Float32Array }> {
  const { engine } = model;
  return engine.arena(async () => {
    const seen = bindCellImages(model, adapter, cell);
    const prompts = promptsForAll(preparePrompts(model, adapter), seen?.ranges);
    const { y_TD } = runLayers(model, cell, openPass(model, cell), prompts, false);
    const { nll_R, hit_R } = await labelledLoss(model, y_TD, { T: cell.ids_T.length, ...cell, prompts }, undefined);
    const [nll, hit] = await Promise.all([engine.read(nll_R), engine.read(hit_R)]);
    return { nll_R: nll, hit_R: hit };
  });
}

/**
 * Returns the losses alone, `[R]`, in nats: of each labelled token in the order of `cell.rows_R`. Without an adapter: of the base.
 *
 * @example
 * const nll_R = await cellLosses(model, undefined, cell);
 * const perplexity = Math.exp(nll_R.reduce((a, b) => a + b, 0) / nll_R.length);
 */
export async function cellLosses(
  model: DecoderModel,
  adapter: AdapterState | undefined,
  cell: Cell,
): Promise<Float32Array> {
  return (await cellScores(model, adapter, cell)).nll_R;
}

/** Sum in the given order, in float64. */
export function sum(values: Float32Array): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
