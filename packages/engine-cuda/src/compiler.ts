/** Where the code of kernels comes from: compiled before (prebuilt.ts), else by NVRTC, whose results are kept. */
import { InputError } from "@zerogate/core";
import type { GpuFacts } from "./gpu.ts";
import { compiled } from "./module_cache.ts";
import { type Nvrtc, openNvrtc, type Source } from "./native/nvrtc.ts";
import { openPrebuilt } from "./prebuilt.ts";

/** Makes code for one GPU. Its version is that of the NVRTC that compiles, or has compiled: all code of an engine is of one. */
export interface Compiler extends Pick<Nvrtc, "architectures" | "version"> {
  /** NVRTC, or the folder of prebuilt kernels. */
  readonly path: string;
  cubin(source: Source, options: readonly string[]): Uint8Array;
}

/**
 * Opens prebuilt kernels if there are whole ones of this GPU, made of these sources, that its driver loads; else NVRTC.
 *
 * @param newest the driver's CUDA
 * @throws InputError if neither is there.
 */
export function openCompiler({ architecture }: Pick<GpuFacts, "architecture">, newest: number): Compiler {
  const prebuilt = openPrebuilt(architecture, newest);
  if (!prebuilt) return compilerOf(openNvrtc(newest));
  const { version, folder, target } = prebuilt;
  return {
    version,
    path: folder,
    architectures: [target],
    cubin(source, options) {
      return (
        prebuilt.find(source, options) ?? compilerOf(sameVersion(openNvrtc(newest), version)).cubin(source, options)
      );
    },
  };
}

/** Compiles with this NVRTC what is not in the cache. */
export function compilerOf(nvrtc: Nvrtc): Compiler {
  const { version, path, architectures } = nvrtc;
  return { version, path, architectures, cubin: (source, options) => compiled(nvrtc, source, options) };
}

/** Kernels of two compilers in one engine would have bits that its name does not tell. */
function sameVersion(nvrtc: Nvrtc, version: string): Nvrtc {
  if (nvrtc.version === version) return nvrtc;
  const found = `prebuilt kernels are of NVRTC ${version}, ${nvrtc.path} is ${nvrtc.version}`;
  throw new InputError("Cannot compile a kernel", `${found}: ZEROGATE_CUDA_PREBUILT=0 compiles all of them`);
}
