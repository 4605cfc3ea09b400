/**
 * Kernels that were compiled before (scripts/prebuild.mjs), so that a first start waits for no compiler and needs none. They lie in
 * `prebuilt/<version of NVRTC>/sm_<architecture>`, files as in the cache: named by sources and options, beginning with their hash.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { compileOptions, kernelModules, kernelSource, targetFor } from "./kernel_sources.ts";
import { cubinName, readCubin } from "./module_cache.ts";
import { entries } from "./native/locate.ts";
import type { Source } from "./native/nvrtc.ts";

export interface Prebuilt {
  /** Of the NVRTC that made them. */
  readonly version: string;
  readonly folder: string;
  /** The architecture that they were compiled for. */
  readonly target: number;
  find(source: Source, options: readonly string[]): Uint8Array | undefined;
}

/** Returns the folder of `ZEROGATE_CUDA_PREBUILT`, else that of this package; undefined if it is 0. */
export function prebuiltFolder(env: NodeJS.ProcessEnv = process.env): string | undefined {
  const named = env["ZEROGATE_CUDA_PREBUILT"];
  if (named === "0") return undefined;
  return named || fileURLToPath(new URL("../prebuilt", import.meta.url));
}

/**
 * Finds the newest set for an architecture that a driver of CUDA `newest` loads. A set counts only if every kernel is there, whole and
 * made of the sources of today: the bits of an engine are those of one compiler.
 */
export function openPrebuilt(
  architecture: number,
  newest: number,
  root: string | undefined = prebuiltFolder(),
): Prebuilt | undefined {
  if (root === undefined || !existsSync(root)) return undefined;
  const versions = entries(root).filter((name) => /^\d+\.\d+$/.test(name) && Number.parseInt(name, 10) <= newest);
  for (const version of versions.toSorted((a, b) => Number(b) - Number(a))) {
    const known = entries(join(root, version)).flatMap((name) =>
      /^sm_\d+$/.test(name) ? [Number(name.slice(3))] : [],
    );
    const target = targetFor(architecture, known);
    const cubins = target === undefined ? undefined : readSet(root, version, target);
    if (target === undefined || !cubins) continue;
    const folder = setFolder(root, version, target);
    return { version, folder, target, find: (source, options) => cubins.get(cubinName(version, source, options)) };
  }
  return undefined;
}

/** The folder of one set. */
export const setFolder = (root: string, version: string, target: number): string => join(root, version, `sm_${target}`);

/** Names of all files of a set, and what each is made of. */
export function setFiles(version: string, target: number): { name: string; source: Source; options: string[] }[] {
  return kernelModules.map(({ file, defines }) => {
    const source = kernelSource(file);
    const options = compileOptions({ architectures: [target], version, path: "" }, target, defines);
    return { name: cubinName(version, source, options), source, options };
  });
}

function readSet(root: string, version: string, target: number): Map<string, Uint8Array> | undefined {
  const cubins = new Map<string, Uint8Array>();
  for (const { name } of setFiles(version, target)) {
    const cubin = readCubin(join(setFolder(root, version, target), name));
    if (!cubin) return undefined;
    cubins.set(name, cubin);
  }
  return cubins;
}
