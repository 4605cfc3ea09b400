/** GPUs for `zerogate doctor`: what the engine cuda needs and where it was found, and a second of work on each GPU. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type GpuReport, gpuReports } from "@zerogate/engine-cuda";
import type { Check } from "./doctor_check.ts";

/** The first start compiles all kernels. */
const TRY_MS = 120_000;

/** Its absence is no fault: most machines have no GPU. */
export async function cudaChecks(tryMs: number = TRY_MS): Promise<Check[]> {
  const name = "engine cuda";
  const report = gpuReports();
  const { libraries, missing } = report;
  const found = libraries.map((library) => `${library.name} ${library.found}`).join(", ");
  if (missing.length > 0) {
    const absent = missing.map((message) => message.replaceAll(/\s*\n\s*/g, " ")).join("; ");
    return [{ name, ok: true, found: `absent: ${absent}${found === "" ? "" : `; there is ${found}`}` }];
  }
  return [{ name, ok: true, found }, ...(await Promise.all(report.gpus.map((gpu) => gpuCheck(gpu, tryMs))))];
}

/** In a process of its own: a driver or a GPU that is broken may end it, or never answer. */
async function gpuCheck(gpu: GpuReport["gpus"][number], tryMs: number): Promise<Check> {
  const name = `GPU ${gpu.ordinal}`;
  const facts = `${gpu.name}, ${(gpu.memoryBytes / 2 ** 30).toFixed(1)} GiB, compute capability ${(gpu.architecture / 10).toFixed(1)}`;
  if (gpu.problem !== undefined) return { name, ok: true, found: `${facts}: cannot be used, ${gpu.problem}` };
  const program = fileURLToPath(new URL("../../dist/commands/doctor_cuda_program.js", import.meta.url));
  try {
    const limits = { timeout: tryMs, killSignal: "SIGKILL" } as const;
    const { stdout } = await promisify(execFile)(process.execPath, [program, String(gpu.ordinal)], limits);
    const { ok, text } = JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "") as { ok: boolean; text: string };
    return { name, ok, found: `${facts}: ${text}` };
  } catch (error) {
    const { killed, signal, message } = error as Error & { killed?: boolean; signal?: string };
    const reason = killed
      ? `no answer within ${tryMs / 1000} s`
      : signal
        ? `its process was ended by ${signal}`
        : message;
    return { name, ok: false, found: `${facts}: ${reason}`, advice: "ask nvidia-smi, and the kernel's log, about it" };
  }
}
