/** The native engine, as the choice of engines sees it. */
import { availableParallelism } from "node:os";
import { type EngineDescription, type EngineRequest, linearMapCount } from "@zerogate/core/engine";
import { probe } from "./addon.ts";
import { type CpuEngineOptions, weightDtypes } from "./engine.ts";

/** Bytes of packed copies for both directions that nobody has to ask for: those of 135 M parameters in bf16. */
const MAX_PACKED_BYTES = 512 * 2 ** 20;

/** Cores of this machine, a worker each. */
export const cores: EngineDescription["devices"] = () =>
  Array.from({ length: availableParallelism() }, (_, ordinal) => ({ ordinal, name: `core ${ordinal}` }));

/** @example description.traits("cpu").computes; // ["f32", "bf16"] on a machine with AVX512-BF16 */
export const description: EngineDescription = {
  names: ["cpu"],
  devices: cores,
  traits() {
    const { available, level, bf16Levels, mapsFiles, reason } = probe();
    return {
      ...(!available && { missing: [reason ?? "it does not run here"] }),
      ...(level !== undefined && { detail: `level ${level}` }),
      computes: bf16Levels.includes(level ?? "") ? ["f32", "bf16"] : ["f32"],
      storages: ["as-is", "int8", "nf4", "int4"],
      weightDtypes,
      automaticParameters: Number.POSITIVE_INFINITY,
      packs: true,
      mapsFiles,
      keepsCellBits: true,
      keepsRowBits: true,
      keepsThreadBits: true,
    };
  },
  setup(_name, request) {
    const { threads, compute, storage } = request;
    const packedBytes = packedBytesOf(request);
    const options: CpuEngineOptions = { threads, compute, storage, packing: packedBytes > 0 };
    return { options, packedBytes };
  },
  checks: async () => (await import("./machine_checks.ts")).cpuChecks(),
};

/** A user of fewer bits wants less memory, not more. */
function packedBytesOf({ compute, storage, packing, model }: EngineRequest): number {
  const bytes = linearMapCount(model) * (compute === "bf16" ? 2 : 4);
  const isSmall = storage === "as-is" && 2 * bytes <= MAX_PACKED_BYTES;
  return packing === "always" || (packing === "auto" && isSmall) ? bytes : 0;
}
