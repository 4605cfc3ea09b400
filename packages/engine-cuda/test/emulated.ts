/** Engines on the emulator, one of each kind, as a worker has it. */
import { vi } from "vitest";
import { type CudaEngine, createEngine } from "../src/engine.ts";
import { fakeEnv } from "./fake.ts";

export interface Emulated {
  open(compute: "f32" | "bf16"): CudaEngine;
  close(): void;
}

/** Points this process at the emulator; `close` is for the end of the file. */
export function emulated(): Emulated {
  for (const [name, value] of Object.entries(fakeEnv())) vi.stubEnv(name, value);
  const engines = new Map<string, CudaEngine>();
  return {
    open(compute) {
      const engine = engines.get(compute) ?? createEngine({ compute, tune: false });
      engines.set(compute, engine);
      return engine;
    },
    close() {
      for (const engine of engines.values()) engine.close();
    },
  };
}
