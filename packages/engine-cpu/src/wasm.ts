/** `@zerogate/engine-cpu/wasm`: the same kernels in WebAssembly as an engine module, which workers import. */
import type { EngineDescription } from "@zerogate/core/engine";
import { cores } from "./describe.ts";
import { weightDtypes } from "./engine.ts";

export { createWasmEngine as createEngine } from "./wasm_engine.ts";

/** A larger base takes minutes a step, and each worker a copy of it: it runs there only if somebody asks for it. */
const MAX_PARAMETERS_OF_A_SURPRISE = 300_000_000;

/** What the engine `wasm` says of itself. */
export const description: EngineDescription = {
  names: ["wasm"],
  devices: cores,
  traits: () => ({
    computes: ["f32"],
    storages: ["as-is", "int8", "nf4", "int4"],
    weightDtypes,
    automaticParameters: MAX_PARAMETERS_OF_A_SURPRISE,
    keepsCellBits: true,
    keepsRowBits: true,
    keepsThreadBits: true,
  }),
  setup: (_name, { storage }) => ({ options: { storage }, weightCopies: 1 }),
  checks: async () => (await import("./machine_checks.ts")).wasmChecks(),
};
