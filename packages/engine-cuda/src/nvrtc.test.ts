/** NVIDIA's own compiler on every kernel, for the architectures that people have; no GPU is needed for it. */
import { InputError } from "@zerogate/core";
import { describe, expect, test } from "vitest";
import { compileOptions, type KernelFile, kernelFiles, kernelSource } from "./kernel_sources.ts";
import { type Nvrtc, openNvrtc } from "./native/nvrtc.ts";

const found = (() => {
  try {
    return openNvrtc(13);
  } catch (error) {
    if (error instanceof InputError) return undefined;
    throw error;
  }
})();
const absent = found ? "" : " (skipped: NVRTC is not on this machine, pip install nvidia-cuda-nvrtc)";

const flash: readonly KernelFile[] = ["flash", "flash_backward"];

/** All that are ever compiled for the first architecture, those that training uses for the others: it takes seconds each. */
function variantsFor(architecture: number) {
  const [compute, heads] =
    architecture === 80
      ? [
          ["u16", "float"],
          [64, 96, 128],
        ]
      : [["u16"], [128]];
  const plain = kernelFiles.filter((file) => !flash.includes(file));
  return [
    ...compute.flatMap((type) => plain.map((file) => ({ file, defines: [`ACT=${type}`] }))),
    ...heads.flatMap((d) => flash.map((file) => ({ file, defines: ["ACT=u16", `HD=${d}`] }))),
  ];
}

describe.skipIf(absent !== "")(`NVRTC${absent}`, () => {
  const nvrtc = found as Nvrtc;
  for (const architecture of [80, 90, 100, 120]) {
    const isKnown = found?.architectures.includes(architecture) ?? true;
    const unknown = isKnown ? "" : " (skipped: this NVRTC does not know it)";
    test.skipIf(unknown !== "")(`compiles every kernel for sm_${architecture}${unknown}`, () => {
      for (const { file, defines } of variantsFor(architecture)) {
        const cubin = nvrtc.compile(kernelSource(file), compileOptions(nvrtc, architecture, defines));
        expect([...cubin.subarray(0, 4)], `${file} ${defines.join(" ")}`).toEqual([0x7f, 0x45, 0x4c, 0x46]);
      }
    });
  }

  // What the architecture alone has, as wgmma, is not used; code for it compiles all the same.
  test.each([90, 100])("compiles attention for sm_%ia", (architecture) => {
    const options = compileOptions(nvrtc, architecture, ["ACT=u16", "HD=128"]).map((option) =>
      option.replace(`sm_${architecture}`, `sm_${architecture}a`),
    );
    expect(options[0]).toBe(`--gpu-architecture=sm_${architecture}a`);
    for (const file of flash) expect(nvrtc.compile(kernelSource(file), options).length).toBeGreaterThan(10_000);
  });
});
