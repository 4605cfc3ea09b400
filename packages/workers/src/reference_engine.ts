/** Core's reference engine as an engine module: plain TypeScript, for tests and tiny models. */
import { availableParallelism } from "node:os";
import { createReferenceEngine, type WeightStorage } from "@zerogate/core";
import { checkEngine, type Engine, type EngineDescription } from "@zerogate/core/engine";
import { storageNames } from "@zerogate/core/light";
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

/** What the engine `reference` says of itself. */
export const description: EngineDescription = {
  names: ["reference"],
  devices: () => Array.from({ length: availableParallelism() }, (_, ordinal) => ({ ordinal, name: `core ${ordinal}` })),
  traits: () => ({
    computes: ["f32"],
    storages: storageNames,
    weightDtypes: ["f32", "i8", "f8", "nf4", "i4"],
    keepsCellBits: true,
    keepsRowBits: true,
    keepsThreadBits: true,
  }),
  // It widens maps of 8 bits for itself, in every worker; f32 weights are used where they lie.
  setup: (_name, { storage }) => ({ options: { storage }, weightCopies: storage === "as-is" ? 0 : 4 }),
  checks: async () => [await checkEngine("engine reference", createReferenceEngine)],
};
