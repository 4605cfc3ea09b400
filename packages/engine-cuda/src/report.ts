/** What `zerogate doctor` and the choice of an engine ask: which GPUs, which libraries, and why not. No kernel runs here. */
import { dirname } from "node:path";
import { InputError } from "@zerogate/core";
import { type GpuFacts, listGpus, tooOld } from "./gpu.ts";
import { openCublasLt } from "./native/cublaslt.ts";
import { openDriver } from "./native/driver.ts";
import { openNvrtc } from "./native/nvrtc.ts";
import { openPrebuilt } from "./prebuilt.ts";

/** What this machine has for the engine. */
export interface GpuReport {
  readonly gpus: readonly (GpuFacts & { /** Why it cannot be used. */ readonly problem?: string })[];
  /** Where each library was found, and its version. */
  readonly libraries: readonly { readonly name: string; readonly found: string }[];
  /** Why the engine cannot run here, all reasons. */
  readonly missing: readonly string[];
}

/** Asks the driver and tries the libraries. Throws nothing that is a matter of this machine. */
export function gpuReports(): GpuReport {
  const libraries: { name: string; found: string }[] = [];
  const missing: string[] = [];
  const attempt = <T>(work: () => T): T | undefined => {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      missing.push(error.message);
      return undefined;
    }
  };
  const driver = attempt(openDriver);
  if (!driver) return { gpus: [], libraries, missing };
  const [newest] = driver.version;
  libraries.push({ name: "driver", found: `CUDA ${driver.version.join(".")} (${driver.path})` });
  const usable = listGpus().filter((gpu) => tooOld(gpu) === undefined);
  const sets = usable.map(({ architecture }) => openPrebuilt(architecture, newest));
  for (const [version, { folder }] of new Map(sets.flatMap((set) => (set ? [[set.version, set] as const] : [])))) {
    libraries.push({ name: "prebuilt kernels", found: `${version} (${dirname(folder)})` });
  }
  const isPrebuilt = sets.length > 0 && sets.every((set) => set !== undefined);
  const nvrtc = isPrebuilt ? undefined : attempt(() => openNvrtc(newest));
  if (nvrtc) libraries.push({ name: "NVRTC", found: `${nvrtc.version} (${nvrtc.path})` });
  const cublasLt = attempt(() => openCublasLt(newest));
  if (cublasLt) libraries.push({ name: "cuBLASLt", found: `${cublasLt.version} (${cublasLt.path})` });
  const gpus = listGpus().map((gpu) => {
    const problem = tooOld(gpu);
    return problem === undefined ? gpu : { ...gpu, problem };
  });
  return { gpus, libraries, missing };
}
