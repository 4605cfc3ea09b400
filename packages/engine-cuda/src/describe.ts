/** The engine on NVIDIA's GPUs, as the choice of engines sees it. */
import { InputError } from "@zerogate/core";
import type { EngineDescription } from "@zerogate/core/engine";
import { storageNames } from "@zerogate/core/light";
import type { CudaEngineOptions } from "./engine.ts";
import { planCell } from "./memory_plan.ts";
import { gpuReports } from "./report.ts";
import { sharedName } from "./shared_name.ts";
import { weightDtypes } from "./weight_dtypes.ts";

export const description: EngineDescription = {
  names: ["cuda"],
  devices: () => gpuReports().gpus,
  traits() {
    return {
      missing: gpuReports().missing,
      computes: ["f32", "bf16"],
      storages: storageNames,
      weightDtypes,
      hasNamedDevices: true,
    };
  },
  setup(_name, { compute, storage, devices: named, workers, model }) {
    const devices = usableDevices(named, workers).slice(0, workers);
    const options: CudaEngineOptions = { compute, storage, devices };
    return {
      options,
      exclusive: devices.map((ordinal) => sharedName(ordinal, process.env)),
      optionsForCells: (cells) => ({ ...options, plan: planCell(model, { ...cells, compute, storage }) }),
    };
  },
  checks: async () => (await import("./machine_checks.ts")).cudaChecks(),
};

/** @throws InputError for GPUs that are not there, too few, too old or named twice. */
function usableDevices(named: readonly number[] | undefined, workers: number): readonly number[] {
  const gpus = description.devices("cuda");
  const usable = gpus.flatMap(({ ordinal, problem }) => (problem === undefined ? [ordinal] : []));
  const devices = named ?? (usable.length > 0 ? usable : gpus.map(({ ordinal }) => ordinal));
  const listed = gpus.map(({ ordinal, name }) => `${ordinal} (${name})`).join(", ") || "none";
  const problems = devices.flatMap((ordinal, i) => {
    const gpu = gpus[ordinal];
    if (devices.indexOf(ordinal) !== i) return [`GPU ${ordinal} is named twice: name each once`];
    if (gpu?.problem !== undefined) return [`GPU ${ordinal} (${gpu.name}): ${gpu.problem}`];
    return gpu ? [] : [`there is no GPU ${ordinal}, the driver lists ${listed}: name one of them`];
  });
  if (problems.length === 0 && workers > devices.length) {
    const found = named
      ? `devices names ${count(devices.length)}`
      : `there ${devices.length === 1 ? "is" : "are"} ${count(devices.length)} that it can use, the driver lists ${listed}`;
    problems.push(`${found}, and workers is ${workers}, a GPU each is needed: use --workers ${devices.length}`);
  }
  if (problems.length > 0) throw new InputError("Cannot use the engine cuda", problems);
  return devices;
}

const count = (gpus: number) => `${gpus} GPU${gpus === 1 ? "" : "s"}`;
