/** The engine that towers run on in this process, whatever computes the base. */
import { availableParallelism } from "node:os";
import { createReferenceEngine } from "@zerogate/core";
import type { Engine } from "@zerogate/core/engine";
import { createEngine, probe } from "@zerogate/engine-cpu";

/** The native engine, on all cores, or the plain one if it does not run here. */
export function towerEngine(): Engine {
  return probe().available ? createEngine({ threads: availableParallelism() }) : createReferenceEngine();
}
