/** What the binary knows arrays and weights by. The engine makes every one that it is given back; the binary refuses what it does not know. */
import type { DeviceArray, Matrix } from "@zerogate/core/engine";
import type { NativePacks, WeightArguments } from "./addon.ts";
import type { CpuArray } from "./arrays.ts";

export interface CpuMatrix extends Matrix {
  readonly weight: WeightArguments;
  readonly packs?: NativePacks;
}

export const handle = (array: DeviceArray): number => (array as CpuArray).handle;
export const optional = (array: DeviceArray | undefined): number | undefined => (array as CpuArray | undefined)?.handle;
export const weightOf = (weight: Matrix): WeightArguments => (weight as CpuMatrix).weight ?? [];
