/** How many devices an engine has on this machine: the default of `workers`, a worker each. */
import { availableParallelism } from "node:os";
import { gpuReports } from "@zerogate/engine-cuda";

/** The GPUs that the engine cuda can use, by the driver's numbers. */
export function usableGpus(): number[] {
  return gpuReports().gpus.flatMap(({ ordinal, problem }) => (problem === undefined ? [ordinal] : []));
}

/** At least 1: where there is none, what is missing is said when the engine is chosen. An unknown name counts as a CPU engine. */
export function deviceCount(engine: unknown): number {
  if (engine === "cuda") return Math.max(1, usableGpus().length);
  if (engine === "tfjs:node-gpu") return Math.max(1, gpuReports().gpus.length); // it has its own rule for what it can use
  return availableParallelism();
}
