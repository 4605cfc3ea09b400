/** Core's reference engine as an engine module: plain TypeScript, for tests and tiny models. */
import { createReferenceEngine, type Engine, type WeightStorage } from "@zerogate/core";
import { builtFile } from "./built_file.ts";
import type { EngineModule } from "./device_api.ts";

/** What to put into a setup. */
export function referenceEngine(): EngineModule {
  return { module: builtFile("reference_engine") };
}

/** What workers call. */
export function createEngine(options?: { storage?: WeightStorage }): Engine {
  return createReferenceEngine(options);
}
