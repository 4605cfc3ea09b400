/** Whether TensorFlow.js works on this machine. Each backend is tried in a process of its own, because its native code may end it or never return. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { MachineCheck } from "@zerogate/core/engine";
import type { TfjsAnswer } from "./machine_check_program.ts";
import { type TfjsBackend, tfjsBackends } from "./names.ts";
import { tfjsTraits } from "./traits.ts";

/** TensorFlow's library alone takes seconds to load from a cold disk. */
const TRY_MS = 60_000;

/** Its absence is no fault: it is there if somebody installed it. */
export function tfjsChecks(tryMs: number = TRY_MS): Promise<readonly MachineCheck[]> {
  return Promise.all(
    tfjsBackends.map(async (backend) => {
      const name = `engine tfjs:${backend}`;
      const { missing } = tfjsTraits(backend);
      if (missing !== undefined) return { name, ok: true, found: `absent: ${missing}` };
      const answer = await ask(backend, tryMs);
      if ("name" in answer) return { name, ok: true, found: `${answer.name} works` };
      if ("absent" in answer) return { name, ok: true, found: `absent: ${answer.absent}` };
      return { name, ok: false, found: answer.failed, advice: "install it anew, or remove it" };
    }),
  );
}

async function ask(backend: TfjsBackend, tryMs: number): Promise<TfjsAnswer> {
  const program = fileURLToPath(new URL("../dist/machine_check_program.js", import.meta.url));
  try {
    const limits = { timeout: tryMs, killSignal: "SIGKILL" } as const;
    const { stdout } = await promisify(execFile)(process.execPath, [program, backend], limits);
    return JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "") as TfjsAnswer; // libraries print before it
  } catch (error) {
    const { killed, signal, code, message } = error as Error & { killed?: boolean; signal?: string; code?: number };
    if (killed) return { failed: `it did not answer within ${tryMs / 1000} s` };
    if (signal) return { failed: `its process was ended by ${signal}` };
    return { failed: code === undefined ? message : `its process ended with code ${code}` };
  }
}
