/**
 * The backends that run on this machine, and why the others do not. `cpu` and `wasm` are among our own dependencies; for
 * `webgpu` and `node` ZEROGATE_TFJS names a folder in which they are installed.
 *
 * WebGPU needs a Vulkan device. Mesa's software one (llvmpipe) does: version 25 of Debian's backports works, the 22.3 of
 * Debian 12 itself is refused by Dawn ("shaderUniformArrayDynamicIndexing required"). No root is needed: unpack the packages
 * mesa-vulkan-drivers and libvulkan1 (`apt-get download`, `dpkg-deb -x`) and name them in LD_LIBRARY_PATH and VK_ICD_FILENAMES.
 */
import { createEngine } from "../src/engine.ts";
import { type TfjsBackend, tfjsBackends } from "../src/names.ts";

export interface TriedBackend {
  readonly backend: TfjsBackend;
  /** For test titles; empty if it runs. */
  readonly absent: string;
}

export const backends: readonly TriedBackend[] = await Promise.all(
  tfjsBackends.map(async (backend) => {
    try {
      await createEngine({ backend });
      return { backend, absent: "" };
    } catch (error) {
      return { backend, absent: ` (skipped: ${(error as Error).message})` };
    }
  }),
);
