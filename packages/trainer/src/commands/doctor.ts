/** `zerogate doctor`: what this machine offers and what would go wrong, before anything is started. */
import { access, constants, mkdir } from "node:fs/promises";
import { availableParallelism, cpus, freemem, totalmem } from "node:os";
import { createReferenceEngine, type Engine, formatBytes } from "@zerogate/core";
import { cacheFolder, reason } from "@zerogate/core/node";
import { createEngine as createCpuEngine, createWasmEngine, probe } from "@zerogate/engine-cpu";
import { versions } from "../version.ts";
import { type CommandContext, type ExitCode, printJson } from "./context.ts";
import { type Check, wrongProduct } from "./doctor_check.ts";
import { cudaChecks } from "./doctor_cuda.ts";
import { tfjsChecks } from "./doctor_tfjs.ts";

export async function doctorCommand({ json = false }: { json?: boolean }, context: CommandContext): Promise<ExitCode> {
  const checks = [nodeCheck(), coresCheck(), memoryCheck(), await cacheCheck(context.env), ...(await engineChecks())];
  const ok = checks.every((check) => check.ok);
  if (json) printJson(context, { ok, versions, checks });
  else {
    const lines = checks.map((check) => {
      const { name, found, advice } = check;
      return `${check.ok ? "ok " : "no "} ${name.padEnd(22)}${found}${advice ? `\n    -> ${advice}` : ""}`;
    });
    context.stdout.write(`zerogate ${versions.zerogate}\n${lines.join("\n")}\n`);
  }
  if (!ok) throw new Error("Cannot promise that training works here: see the lines marked “no”");
  return 0;
}

function nodeCheck(): Check {
  const [major = 0, minor = 0] = versions.node.split(".").map(Number);
  const ok = major > 20 || (major === 20 && minor >= 19);
  return { name: "Node", ok, found: versions.node, ...(!ok && { advice: "install Node 20.19 or newer" }) };
}

function coresCheck(): Check {
  const model = cpus()[0]?.model.trim() ?? "unknown";
  return { name: "processor", ok: true, found: `${model}, ${availableParallelism()} cores usable` };
}

function memoryCheck(): Check {
  return { name: "memory", ok: true, found: `${formatBytes(freemem())} free of ${formatBytes(totalmem())}` };
}

async function cacheCheck(env: CommandContext["env"]): Promise<Check> {
  const folder = cacheFolder(env);
  if (folder === undefined) {
    const found =
      "none, this user has no home folder: tokens are made again by every run, give --cache-dir to keep them";
    return { name: "cache folder", ok: true, found };
  }
  try {
    await mkdir(folder, { recursive: true });
    await access(folder, constants.W_OK);
    return { name: "cache folder", ok: true, found: folder };
  } catch (error) {
    const advice = "set XDG_CACHE_HOME to a folder that can be written, or give --cache-dir";
    return { name: "cache folder", ok: false, found: `${folder}: ${reason(error)}`, advice };
  }
}

/** The native engine may be absent. */
async function engineChecks(): Promise<Check[]> {
  const cpu = probe();
  const hasBf16 = cpu.bf16Levels.includes(cpu.level ?? "");
  const faster = hasBf16 ? "; --compute bf16 takes about half the time" : "";
  const native = cpu.available
    ? await engineCheck("engine cpu", createCpuEngine, ` (${cpu.levels.join(", ")}; ${cpu.path})${faster}`)
    : { name: "engine cpu", ok: true, found: `absent, the slower wasm engine runs instead: ${cpu.reason}` };
  return [
    native,
    await engineCheck("engine wasm", createWasmEngine, ""),
    await engineCheck("engine reference", createReferenceEngine, ""),
    ...(await cudaChecks()),
    ...(await tfjsChecks()),
  ];
}

async function engineCheck(name: string, open: () => Engine, about: string): Promise<Check> {
  try {
    const engine = open();
    const wrong = await wrongProduct(engine);
    return { name, ok: wrong === undefined, found: wrong ?? `${engine.name} works${about}` };
  } catch (error) {
    return { name, ok: false, found: (error as Error).message, advice: "npm rebuild @zerogate/engine-cpu" };
  }
}
