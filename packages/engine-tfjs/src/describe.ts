/** TensorFlow.js's backends as engines, as the choice of engines sees them. Loads none of them. */
import { readdirSync } from "node:fs";
import { InputError, parameterCount } from "@zerogate/core";
import type { EngineDescription } from "@zerogate/core/engine";
import type { TfjsEngineOptions } from "./engine.ts";
import { type TfjsBackend, tfjsBackends } from "./names.ts";
import { tfjsTraits } from "./traits.ts";

const backendOf = (name: string) => name.slice("tfjs:".length) as TfjsBackend;

export const description: EngineDescription = {
  names: tfjsBackends.map((backend) => `tfjs:${backend}`),
  devices(name) {
    const isGpu = backendOf(name) === "node-gpu";
    const names = isGpu ? gpus() : ["this processor"];
    return names.map((device, ordinal) => ({ ordinal, name: device }));
  },
  traits(name) {
    const { missing } = tfjsTraits(backendOf(name));
    return {
      ...(missing !== undefined && { missing: [missing] }),
      computes: ["f32"],
      storages: ["as-is"],
      weightDtypes: ["f32"],
      isComposed: true,
    };
  },
  setup(name, { model }) {
    const backend = backendOf(name);
    const { memoryBytes, weightCopies, processEnv } = tfjsTraits(backend);
    const needed = 4 * parameterCount(model);
    if (needed > memoryBytes) {
      const size = `the base has ${needed} bytes in f32, the engine's memory ends at ${memoryBytes}`;
      throw new InputError(`Cannot use the engine ${name}`, `${size}: take another engine or a smaller base`);
    }
    const options: TfjsEngineOptions = { backend };
    return { options, weightCopies, ...(processEnv && { processEnv }) };
  },
  checks: async () => (await import("./machine_checks.ts")).tfjsChecks(),
};

/** NVIDIA's GPUs that this process may use: as the driver's kernel module lists them, or CUDA_VISIBLE_DEVICES names them. */
function gpus(): readonly string[] {
  const { CUDA_VISIBLE_DEVICES: visible } = process.env;
  if (visible !== undefined) return visible.split(",").filter((name) => name.trim() !== "");
  try {
    return readdirSync("/proc/driver/nvidia/gpus");
  } catch {
    return [];
  }
}
