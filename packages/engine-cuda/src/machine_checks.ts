/** Whether GPUs work on this machine: what the engine cuda needs and where it was found, and a second of work on each GPU. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { MachineCheck } from "@zerogate/core/engine";
import { type GpuReport, gpuReports } from "./report.ts";

/** The first start compiles all kernels. */
const TRY_MS = 120_000;

/** Its absence is no fault: most machines have no GPU. */
export async function cudaChecks(tryMs: number = TRY_MS): Promise<readonly MachineCheck[]> {
  const name = "engine cuda";
  const report = gpuReports();
  const { libraries, missing } = report;
  const found = libraries.map((library) => `${library.name} ${library.found}`).join(", ");
  if (missing.length > 0) {
    const absent = missing.map((message) => message.replaceAll(/\s*\n\s*/g, " ")).join("; ");
    const brief = `absent: ${missing.map(phraseOf).join("; ")}`;
    return [{ name, ok: true, found: `absent: ${absent}${found === "" ? "" : `; there is ${found}`}`, brief }];
  }
  const brief = libraries.map((library) => `${library.name} ${library.found.replace(/ \(.*\)$/, "")}`).join(", ");
  return [{ name, ok: true, found, brief }, ...(await Promise.all(report.gpus.map((gpu) => gpuCheck(gpu, tryMs))))];
}

/** `cannot load the NVIDIA driver (libcuda)`, of a message that goes on with all places where it was looked for. */
function phraseOf(message: string): string {
  const [first = ""] = message.split("\n");
  const phrase = first.replace(/:\s*$/, "").trim();
  return phrase.charAt(0).toLowerCase() + phrase.slice(1);
}

/** In a process of its own: a driver or a GPU that is broken may end it, or never answer. */
async function gpuCheck(gpu: GpuReport["gpus"][number], tryMs: number): Promise<MachineCheck> {
  const name = `GPU ${gpu.ordinal}`;
  const facts = `${gpu.name}, ${(gpu.memoryBytes / 2 ** 30).toFixed(1)} GiB, compute capability ${(gpu.architecture / 10).toFixed(1)}`;
  if (gpu.problem !== undefined) {
    const brief = `${gpu.name}: cannot be used`;
    return { name, ok: true, found: `${facts}: cannot be used, ${gpu.problem}`, brief };
  }
  const program = fileURLToPath(new URL("../dist/machine_check_program.js", import.meta.url));
  try {
    const limits = { timeout: tryMs, killSignal: "SIGKILL" } as const;
    const { stdout } = await promisify(execFile)(process.execPath, [program, String(gpu.ordinal)], limits);
    const { ok, text } = JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "") as { ok: boolean; text: string };
    return { name, ok, found: `${facts}: ${text}`, brief: `${gpu.name}: ${text.replace(/, .*/s, "")}` };
  } catch (error) {
    const { killed, signal, message } = error as Error & { killed?: boolean; signal?: string };
    const reason = killed
      ? `no answer within ${tryMs / 1000} s`
      : signal
        ? `its process was ended by ${signal}`
        : message;
    const advice = "ask nvidia-smi, and the kernel's log, about it";
    return { name, ok: false, found: `${facts}: ${reason}`, brief: `${gpu.name}: ${reason}`, advice };
  }
}
