/** How much of the time the devices of a run will work, and what would keep more of them busy. */
import { backwardLayers, trainingCost } from "@zerogate/core/training";
import { busyShare, type Plan, planCosts } from "@zerogate/data";
import type { TrainConfig } from "@zerogate/run-config";
import type { RunInputs } from "./inputs.ts";

/** Numbers of devices that a plan is looked at for. */
const DEVICE_COUNTS = [1, 2, 4, 8, 16];
/** Below this share it is worth to say what would help. */
const ENOUGH = 0.9;
/** How many times as large a batch is looked at, at most. */
const LARGEST_FACTOR = 16;

/** How busy the devices of a run will be. */
export interface BusyDevices {
  readonly devices: number;
  /** From 0 to 1, of equal devices. */
  readonly share: number;
}

type PlannedInputs = Pick<RunInputs, "plan" | "planOf" | "sizes" | "model" | "layout">;

/** Returns the share of the time that 1, 2, 4, 8 and 16 devices would work. */
export function busyDevices(inputs: PlannedInputs): BusyDevices[] {
  const steps = costsOf(inputs, inputs.plan);
  return DEVICE_COUNTS.map((devices) => ({ devices, share: busyShare(steps, devices) }));
}

/**
 * Returns what keeps `devices` busy if the plan does not: even cells, and the smallest batch that is large enough.
 *
 * @example "8 workers are busy 25% of the time with a batch of 32: --cell-multiple 8 gives 99%"
 */
export function idleAdvice(config: TrainConfig, inputs: PlannedInputs, devices: number): string | undefined {
  const share = busyShare(costsOf(inputs, inputs.plan), devices);
  if (share >= ENOUGH) return undefined;
  const found = `${devices} workers are busy ${percent(share)} of the time with a batch of ${config.batchSize}`;
  const most = Math.min(LARGEST_FACTOR, inputs.plan.sampleCount / config.batchSize);
  let best: { readonly flags: string; readonly share: number } | undefined;
  for (let factor = 1; factor <= most; factor *= 2) {
    const batchSize = factor * config.batchSize;
    const even = config.cellMultiple % devices === 0 && config.cellMultiple > 0 ? config.cellMultiple : devices;
    const flags = [
      ...(factor > 1 ? [`--batch-size ${batchSize}`] : []),
      ...(even === config.cellMultiple ? [] : [`--cell-multiple ${even}`]),
    ].join(" ");
    const other = busyShare(costsOf(inputs, inputs.planOf({ ...config, batchSize, cellMultiple: even })), devices);
    if (flags !== "" && other > (best?.share ?? share)) best = { flags, share: other };
    if (best && best.share >= ENOUGH) break;
  }
  return best && `${found}: ${best.flags} gives ${percent(best.share)}`;
}

function costsOf({ sizes, model, layout }: PlannedInputs, plan: Plan): number[][] {
  return planCosts(plan, sizes, trainingCost(model, backwardLayers(layout)));
}

const percent = (share: number) => `${Math.floor(100 * share)}%`;
