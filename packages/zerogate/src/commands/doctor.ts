/** `zerogate doctor`: what this machine offers and what would go wrong, before anything is started. */
import { access, constants, mkdir, readdir, statfs } from "node:fs/promises";
import { availableParallelism, cpus, freemem, totalmem } from "node:os";
import type { MachineCheck } from "@zerogate/core/engine";
import { formatBytes } from "@zerogate/core/formats";
import { cacheFolder, reason } from "@zerogate/core/node";
import { hubCacheFolder, isOffline } from "@zerogate/hub/light";
import { describedEngine, engineChecks, namesOfEngines, versions } from "@zerogate/run-config";
import { type CommandContext, type ExitCode, printJson } from "./context.ts";
import { fullText, screenOf, type Verdict } from "./doctor_screen.ts";

export interface DoctorFlags {
  readonly json?: boolean;
  readonly verbose?: boolean;
}

export async function doctorCommand(
  { json = false, verbose = false }: DoctorFlags,
  context: CommandContext,
): Promise<ExitCode> {
  const machine = [
    nodeCheck(),
    coresCheck(),
    memoryCheck(),
    await diskCheck("."),
    await cacheCheck(context.env),
    await hubCheck(context.env),
  ];
  const checks = [...machine, ...(await engineChecks())];
  const verdict = automaticChoice();
  const ok = verdict.engine !== undefined && checks.every((check) => check.ok);
  if (json) printJson(context, { ok, versions, auto: verdict, checks });
  else context.stdout.write((verbose ? fullText : screenOf)(versions.zerogate, verdict, checks));
  if (!ok) throw new Error("Cannot promise that training works here: see the lines marked “no”");
  return 0;
}

/** What `--engine auto` takes for a small base. */
function automaticChoice(): Verdict {
  const candidates = namesOfEngines(({ automaticParameters = 0 }) => automaticParameters > 0);
  const traitsOf = (name: string) => describedEngine(name)?.traits(name);
  const engine = candidates.find((name) => (traitsOf(name)?.missing ?? []).length === 0);
  const traits = engine === undefined ? undefined : traitsOf(engine);
  const before = candidates.slice(0, engine === undefined ? candidates.length : candidates.indexOf(engine));
  const { automaticParameters = 0 } = traits ?? {};
  return {
    engine,
    detail: traits?.detail,
    largestParameters: Number.isFinite(automaticParameters) ? automaticParameters : undefined,
    hasBf16: traits?.computes.includes("bf16") ?? false,
    onGpus: namesOfEngines(({ missing = [], hasNamedDevices = false }) => missing.length === 0 && hasNamedDevices),
    passedOver: before.map((name) => ({ engine: name, missing: traitsOf(name)?.missing ?? [] })),
  };
}

function nodeCheck(): MachineCheck {
  const [major = 0, minor = 0] = versions.node.split(".").map(Number);
  const ok = major > 20 || (major === 20 && minor >= 19);
  return { name: "Node", ok, found: versions.node, ...(!ok && { advice: "install Node 20.19 or newer" }) };
}

function coresCheck(): MachineCheck {
  const model = cpus()[0]?.model.trim() ?? "unknown";
  return { name: "processor", ok: true, found: `${availableParallelism()} cores usable, ${model}` };
}

function memoryCheck(): MachineCheck {
  return { name: "memory", ok: true, found: `${formatBytes(freemem())} free of ${formatBytes(totalmem())}` };
}

/** A run of a few steps takes less; a disk that is this full takes no run for long. */
const LITTLE_BYTES = 100_000_000;

/** Of the folder where commands are typed, in which runs are made unless `--out` names another place. */
async function diskCheck(folder: string): Promise<MachineCheck> {
  const name = "disk";
  try {
    const { bavail, bsize } = await statfs(folder);
    const free = bavail * bsize;
    const ok = free >= LITTLE_BYTES;
    return {
      name,
      ok,
      found: `${formatBytes(free)} free in this folder`,
      ...(!ok && { advice: "make room, or give --out on another disk" }),
    };
  } catch (error) {
    return { name, ok: true, found: `free space is not known: ${reason(error)}` };
  }
}

async function cacheCheck(env: CommandContext["env"]): Promise<MachineCheck> {
  const folder = cacheFolder(env);
  if (folder === undefined) {
    const found =
      "none, this user has no home folder: tokens are made again by every run, give --cache-dir to keep them";
    return { name: "cache folder", ok: true, found, brief: "none, as there is no home folder: give --cache-dir" };
  }
  try {
    await mkdir(folder, { recursive: true });
    await access(folder, constants.W_OK);
    return { name: "cache folder", ok: true, found: folder };
  } catch (error) {
    const advice = "set XDG_CACHE_HOME to a folder that can be written, or give --cache-dir";
    return { name: "cache folder", ok: false, found: `${folder}: ${reason(error)}`, brief: reason(error), advice };
  }
}

/** What the Hub's cache has; a new one is made by the first download. */
async function hubCheck(env: CommandContext["env"]): Promise<MachineCheck> {
  const name = "Hub cache";
  const folder = hubCacheFolder(env);
  if (folder === undefined) return { name, ok: true, found: "none, this user has no home folder: set HF_HUB_CACHE" };
  const names: string[] = await readdir(folder).catch(() => []);
  const count = (kind: string) => names.filter((one) => one.startsWith(`${kind}--`)).length;
  const offline = isOffline(env) ? "; HF_HUB_OFFLINE forbids to ask the Hub" : "";
  return { name, ok: true, found: `${folder}: ${count("models")} models, ${count("datasets")} datasets${offline}` };
}
