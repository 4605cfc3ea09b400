/** What our kernels (`kernels/*.cu`) are compiled of: files, the macros of each, and NVRTC's options for a GPU. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Nvrtc, Source } from "./native/nvrtc.ts";

export const kernelFiles = [
  "rows",
  "norm",
  "tuning",
  "rope",
  "mlp",
  "attention",
  "flash",
  "flash_backward",
  "prompt",
  "delta",
  "head",
] as const;
export type KernelFile = (typeof kernelFiles)[number];

/** A kernel file with the headers that it may include. ZEROGATE_CUDA_KERNELS names another folder: for trying changes. */
export function kernelSource(file: KernelFile): Source {
  const folder = process.env["ZEROGATE_CUDA_KERNELS"] ?? fileURLToPath(new URL("../kernels", import.meta.url));
  const text = (name: string) => readFileSync(join(folder, name), "utf8");
  const headers = Object.fromEntries(["common.cuh", "flash.cuh"].map((name) => [name, text(name)]));
  return { name: `${file}.cu`, text: text(`${file}.cu`), headers };
}

/** A file of kernels, and the macros that it is compiled with. */
interface KernelModule {
  readonly file: KernelFile;
  readonly defines: readonly string[];
}

/** All that engines ever compile: flash attention is in bf16 only, for each head dimension that it has. */
export const kernelModules: readonly KernelModule[] = kernelFiles.flatMap((file): KernelModule[] =>
  file.startsWith("flash")
    ? [64, 96, 128].map((d) => ({ file, defines: ["ACT=u16", `HD=${d}`] }))
    : ["u16", "float"].map((type) => ({ file, defines: [`ACT=${type}`] })),
);

/** Returns the last architecture of a GPU's generation that is not above its own, whose code it runs; undefined if there is none. */
export function targetFor(architecture: number, known: readonly number[]): number | undefined {
  const generation = Math.floor(architecture / 10);
  const fitting = known.filter((one) => one <= architecture && Math.floor(one / 10) === generation);
  return fitting.length > 0 ? Math.max(...fitting) : undefined;
}

/** NVRTC's options for a GPU, whose architecture it may not know yet. */
export function compileOptions(
  nvrtc: Pick<Nvrtc, "architectures" | "path" | "version">,
  architecture: number,
  defines: readonly string[],
): string[] {
  const target = targetFor(architecture, nvrtc.architectures);
  if (target === undefined) {
    const known = nvrtc.architectures.join(", ");
    throw new Error(
      `Cannot compile kernels for sm_${architecture}: NVRTC ${nvrtc.version} (${nvrtc.path}) knows ${known}, a newer one is needed`,
    );
  }
  return [`--gpu-architecture=sm_${target}`, "--std=c++17", ...defines.map((define) => `-D${define}`)];
}
