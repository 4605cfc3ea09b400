/** How fast a device of this machine computes the cells of a plan: for `zerogate estimate --on here`. */

import { totalmem } from "node:os";
import { type AdapterState, cellGradient, createModel } from "@zerogate/core";
import { packSamples } from "@zerogate/core/node";
import { backwardLayers, trainingCost } from "@zerogate/core/training";
import { cellCost } from "@zerogate/data";
import type { TrainConfig } from "@zerogate/run-config";
import type { CreateEngine } from "@zerogate/workers";
import { loadBaseHere, openBase } from "../open/base.ts";
import type { Progress } from "../open/data.ts";
import { savingsOf } from "../run/devices.ts";
import type { DeviceSpeed } from "../run/estimate.ts";
import type { PlanOnly } from "./estimate.ts";

/** What a device of this machine reached. */
export interface MeasuredDevice extends DeviceSpeed {
  readonly engine: string;
  readonly compute: string;
  readonly cells: number;
  /** Tokens of a cell, on average. */
  readonly tokens: number;
  /** Milliseconds of a cell, on average. */
  readonly cellMs: number;
}

/** Cells that are timed, behind one that is not. */
const TIMED_CELLS = 3;

/**
 * Trains a few cells of the plan's first steps on one device of the engine that the config asks for, and throws away what comes
 * out. The device is alone: what several of them take from each other is not in it.
 *
 * @throws InputError for a base whose weights are not there.
 */
export async function measureDevice(
  config: TrainConfig,
  planned: PlanOnly,
  progress: Progress,
): Promise<MeasuredDevice> {
  const { model: base, layout, data } = planned;
  const { onPhase, onWarning, signal } = progress;
  const opened = await openBase({ ...config, workers: 1, isolate: false }, onWarning);
  const { createEngine } = (await import(opened.engine.module)) as { createEngine: CreateEngine };
  const adaptedLayers = backwardLayers(layout);
  const room = { tokens: Math.max(config.cellTokens, data.train.stats.longest), adaptedLayers };
  const engine = await createEngine({ ...(opened.engine.optionsForCells?.(room) ?? opened.engine.options) }, 0);
  const model = createModel(engine, base, await loadBaseHere(opened, onPhase));
  onPhase({ name: "measuring a device" });
  const adapter: AdapterState = { layout, params: withOpenGates(planned) };
  const cost = trainingCost(base, adaptedLayers);
  let [work, tokens, ms] = [0, 0, 0];
  const cells = firstCells(planned, 1 + TIMED_CELLS);
  for (const [i, samples] of cells.entries()) {
    signal.throwIfAborted();
    const cell = packSamples(data.train.tokens, samples);
    const begin = performance.now();
    await cellGradient(model, adapter, cell, 1 / cell.rows_R.length, savingsOf(config));
    if (i === 0 && cells.length > 1) continue; // the first one warms up
    ms += performance.now() - begin;
    work += cellCost(cost, data.sizes, samples);
    tokens += cell.ids_T.length;
  }
  onPhase(undefined);
  const count = Math.max(1, cells.length - 1);
  return {
    teraflops: (2 * work) / (1e9 * ms),
    gigabytes: totalmem() / 1e9,
    engine: opened.engine.name,
    compute: opened.compute,
    cells: count,
    tokens: tokens / count,
    cellMs: ms / count,
  };
}

/** Closed gates would save the work of the prompts. */
function withOpenGates({ layout, initialParams }: PlanOnly): Float32Array {
  const params = initialParams.slice();
  for (const { part, offset, shape } of layout.table) {
    if (part === "gate") params.fill(0.1, offset, offset + shape.reduce((size, length) => size * length, 1));
  }
  return params;
}

function firstCells({ data: { plan, totalSteps } }: PlanOnly, count: number): (readonly number[])[] {
  const cells: (readonly number[])[] = [];
  for (let step = 0; step < totalSteps && cells.length < count; step++) cells.push(...plan.step(step).cells);
  return cells.slice(0, count);
}
