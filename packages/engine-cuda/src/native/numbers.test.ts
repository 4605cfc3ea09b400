/** Our numbers and signatures against NVIDIA's headers, if a toolkit is on the machine. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { driverTable } from "./driver.ts";
import { CU, CUBLAS, CUBLASLT, CUDA_ERROR, CUDA_TYPE } from "./numbers.ts";

const folders = [process.env["CUDA_PATH"], process.env["CUDA_HOME"], "/usr/local/cuda"];
const include = folders
  .map((folder) => join(folder ?? "", "include"))
  .find((folder) => existsSync(join(folder, "cuda.h")));

function header(name: string): { text: string; absent: string } {
  const path = join(include ?? "", name);
  const text = include && existsSync(path) ? readFileSync(path, "utf8") : "";
  return { text, absent: text ? "" : ` (skipped: no ${name}, it comes with the CUDA toolkit)` };
}

/** Errors that headers before CUDA 13 do not have yet. */
const newErrors: readonly string[] = ["CONTAINED", "TENSOR_MEMORY_LEAK"];

describe.each([
  ["cuda.h", "CU_", CU],
  ["cuda.h", "CUDA_ERROR_", CUDA_ERROR],
  ["library_types.h", "CUDA_", CUDA_TYPE],
  ["cublas_api.h", "CUBLAS_", CUBLAS],
  ["cublasLt.h", "CUBLASLT_", CUBLASLT],
])("%s", (name, prefix, numbers) => {
  const { text, absent } = header(name);
  test.skipIf(absent !== "")(`has our numbers${absent}`, () => {
    const isOld = Number(/#define CUDA_VERSION (\d+)/.exec(text)?.[1]) < 13_000;
    for (const [own, number] of Object.entries(numbers)) {
      if (isOld && newErrors.includes(own)) continue;
      const found = new RegExp(`\\b${prefix}${own}(?:\\s*=\\s*|\\s+)(0x[0-9a-fA-F]+|\\d+)\\b`).exec(text);
      expect(Number(found?.[1]), `${prefix}${own}`).toBe(number);
    }
  });
});

const { text, absent } = header("cuda.h");
test.skipIf(absent !== "")(`every function of the driver has the parameters of cuda.h${absent}`, () => {
  const widths: Record<string, string> = { int32: "4", uint32: "4", size: "8", uint64: "8", pointer: "8", string: "8" };
  for (const [name, { parameters }] of Object.entries(driverTable)) {
    // cuda.h declares the newest version without its number; older declarations of the same name come later in the file.
    const plain = name === "cuGraphInstantiateWithFlags" ? "cuGraphInstantiate" : name.replace(/_v\d+$/, "");
    const declared = new RegExp(`CUresult CUDAAPI ${plain}\\(([^)]*)\\)`).exec(text)?.[1] ?? "nothing";
    const found = declared.split(",").map((parameter) => (isNarrow(parameter) ? "4" : "8"));
    expect(
      parameters.map((type) => widths[type]),
      `${name}(${declared})`,
    ).toEqual(found);
  }
});

/** Whether a parameter in C has 4 bytes: numbers and enums; pointers, handles and sizes have 8. */
function isNarrow(parameter: string): boolean {
  if (parameter.includes("*")) return false;
  return /^\s*(const )?(unsigned int|int|CUdevice|unsigned char|CUresult|CUdevice_attribute|CUfunction_attribute|CUstreamCaptureMode)\b/.test(
    parameter,
  );
}
