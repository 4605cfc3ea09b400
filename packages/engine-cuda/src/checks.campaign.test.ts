/** Every kernel under EMU_CHECK, in both types of inner numbers: no race, no access that is wrong; and faults planted into them are found. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openLibrary } from "@zerogate/ffi";
import { afterEach, describe, expect, test, vi } from "vitest";
import { everyKernel } from "../test/every_kernel.ts";
import { absent, fakeEnv, onRealGpu } from "../test/fake.ts";
import { createEngine } from "./engine.ts";
import { type KernelFile, kernelFiles, kernelSource } from "./kernel_sources.ts";

const environment = fakeEnv(true);
for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value);

const unable = onRealGpu ? " (skipped: only the emulator checks)" : absent;

async function work(file: KernelFile, compute: "f32" | "bf16"): Promise<void> {
  const engine = createEngine({ compute, tune: false });
  try {
    await engine.arena(() => everyKernel[file](engine));
  } finally {
    engine.close();
  }
}

describe.skipIf(unable !== "")(`kernels under EMU_CHECK${unable}`, () => {
  test.each(kernelFiles)("%s.cu: all of its kernels run, and nothing is found", async (file) => {
    for (const compute of ["bf16", "f32"] as const) await work(file, compute);
    const library = openLibrary({
      name: "the emulator",
      candidates: [environment["ZEROGATE_LIBCUDA"] ?? ""],
      remedy: "",
    });
    const { emu_was_checked } = library.functions({ emu_was_checked: { result: "int32", parameters: ["string"] } });
    const names = [...kernelSource(file).text.matchAll(/^(?:BOUNDED_)?KERNEL\((\w+)/gm)].map(([, name = ""]) => name);
    expect(names.length).toBeGreaterThan(0);
    expect(names.filter((name) => emu_was_checked(name) !== 1)).toEqual([]);
  });
});

/** Changes of one line, and by which file they are found. The numbers do not become wrong by all of them. */
const planted: readonly (readonly [file: string, from: string, to: string, found: KernelFile, finding: RegExp])[] = [
  ["flash.cu", "__syncthreads();  // the keys are", "// the keys are", "flash", /race|target of a copy|nothing wrote/],
  [
    "flash.cu",
    "__syncthreads();  // the values are",
    "// the values are",
    "flash",
    /race|target of a copy|nothing wrote/,
  ],
  ["flash.cu", "__syncthreads();  // all have read the", "// all have read the", "flash", /race/],
  ["flash.cu", "__syncthreads();  // the prompts", "// the prompts", "flash", /race|target of a copy|nothing wrote/],
  ["flash.cu", "copy_wait<0>();", "copy_wait<1>();", "flash", /target of a copy before its wait/],
  [
    "flash.cu",
    "if (row < T && (l & 3) == 0) lse_TH",
    "if ((l & 3) == 0) lse_TH",
    "flash",
    /write out of bounds of global|another block/,
  ],
  [
    "flash_backward.cu",
    "__syncthreads();  // all have read the prompts",
    "// all have read",
    "flash_backward",
    /race: write not ordered/,
  ],
  ["flash_backward.cu", "__syncthreads();  // all have read dS", "// all have read dS", "flash_backward", /race/],
  ["flash_backward.cu", "__syncthreads();  // the stage", "// the stage", "flash_backward", /race/],
  ["flash_backward.cu", "__syncthreads();  // the queries", "// the queries", "flash_backward", /race/],
  ["flash_backward.cu", "copy_wait<1>();", "copy_wait<2>();", "flash_backward", /target of a copy before its wait/],
  ["flash_backward.cu", "__syncthreads();  // all of dS", "// all of dS", "flash_backward", /race|nothing wrote/],
  ["common.cuh", "  __syncthreads();\n  return total;", "  return total;", "norm", /race: write not ordered/],
  ["prompt.cu", "  __syncwarp();\n}", "}", "prompt", /race: read not ordered|nothing wrote/],
  ["mlp.cu", "if (i < (u64)T * F) store(y_TF", "store(y_TF", "mlp", /out of bounds of global/],
  ["rows.cu", "(size_t)ids_T[t] * D", "(size_t)(ids_T[t] + 1) * D", "rows", /read out of bounds of global/],
  ["attention.cu", "if (pair >= T * G) return;", "", "attention", /out of bounds of global|another block/],
];

describe.skipIf(unable !== "")(`faults planted into the kernels${unable}`, () => {
  let folder = "";
  afterEach(() => {
    vi.stubEnv("ZEROGATE_CUDA_KERNELS", undefined);
    rmSync(folder, { recursive: true });
  });

  test.each(planted)("%s: %j becomes %j", async (name, from, to, found, finding) => {
    folder = mkdtempSync(join(tmpdir(), "zerogate-checks-"));
    cpSync(fileURLToPath(new URL("../kernels", import.meta.url)), folder, { recursive: true });
    const text = readFileSync(join(folder, name), "utf8");
    expect(text).toContain(from);
    writeFileSync(join(folder, name), text.replace(from, to));
    vi.stubEnv("ZEROGATE_CUDA_KERNELS", folder);
    await expect(work(found, "bf16")).rejects.toThrow(finding);
  });
});
