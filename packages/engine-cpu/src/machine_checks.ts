/** Whether the native and the WebAssembly engine work on this machine. */
import { checkEngine, type MachineCheck } from "@zerogate/core/engine";
import { probe } from "./addon.ts";
import { createEngine } from "./engine.ts";
import { createWasmEngine } from "./wasm_engine.ts";

const REBUILD = "npm rebuild @zerogate/engine-cpu";

/** The native engine may be absent. */
export async function cpuChecks(): Promise<readonly MachineCheck[]> {
  const { available, levels, path, reason } = probe();
  const name = "engine cpu";
  if (available) return [await checkEngine(name, createEngine, ` (${levels.join(", ")}; ${path})`, REBUILD)];
  const brief = "absent, the slower wasm engine runs instead";
  return [{ name, ok: true, found: `${brief}: ${reason}`, brief, advice: REBUILD }];
}

export async function wasmChecks(): Promise<readonly MachineCheck[]> {
  return [await checkEngine("engine wasm", createWasmEngine, "", REBUILD)];
}
