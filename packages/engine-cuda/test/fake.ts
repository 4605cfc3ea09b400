/**
 * The engine's tests need no GPU: a fake libcuda, NVRTC and cuBLASLt, one shared library built of `emu/` with the machine's C++
 * compiler, take their places, and the same TypeScript runs the same kernels. ZEROGATE_TEST_GPU=1 takes the real ones.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const sources = fileURLToPath(new URL("../emu/", import.meta.url));
/** Built libraries and compiled kernels stay, as with other caches of tools. */
const cache = fileURLToPath(new URL("../node_modules/.cache/emulator", import.meta.url));

/** What only the emulator has is skipped then. */
export const onRealGpu: boolean = process.env["ZEROGATE_TEST_GPU"] === "1";

/** For test titles: why the emulator cannot run here, or nothing. */
export const absent: string = onRealGpu ? "" : whyNot();

function whyNot(): string {
  if (process.platform !== "linux" || process.arch !== "x64") return " (skipped: the emulator runs on x64 Linux only)";
  try {
    execFileSync("c++", ["--version"], { stdio: "ignore" });
    return "";
  } catch {
    return " (skipped: no C++ compiler to build the emulator)";
  }
}

/**
 * Environment that puts the fake libraries into the place of NVIDIA's. Builds them, once for each state of their sources.
 *
 * @param check looks for races and bad accesses in every launch (emu/checks.hpp); EMU_CHECK=1 does so in all tests.
 */
export function fakeEnv(check: boolean = process.env["EMU_CHECK"] === "1"): Record<string, string> {
  if (onRealGpu || absent !== "") return {};
  const hash = createHash("sha256");
  const names = readdirSync(sources).toSorted();
  for (const name of names) hash.update(readFileSync(join(sources, name)));
  const folder = join(cache, hash.digest("hex").slice(0, 16));
  const library = join(folder, "libemulator.so");
  if (!existsSync(library)) {
    mkdirSync(folder, { recursive: true });
    const built = join(folder, `${process.pid}.so`);
    const files = names.filter((name) => name.endsWith(".cc")).map((name) => join(sources, name));
    execFileSync("c++", ["-std=c++17", "-O2", "-fPIC", "-shared", "-w", "-o", built, ...files, "-ldl", "-lpthread"]);
    renameSync(built, library);
  }
  return {
    ZEROGATE_LIBCUDA: library,
    ZEROGATE_NVRTC: library,
    ZEROGATE_CUBLASLT: library,
    ZEROGATE_CUDA_CACHE: join(folder, check ? "cache-checked" : "cache"),
    ZEROGATE_CUDA_PREBUILT: "0",
    ZEROGATE_CUDA_DEBUG: "1",
    EMU_CHECK: check ? "1" : "0",
    EMU_INCLUDE: sources,
  };
}
