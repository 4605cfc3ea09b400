/** What one machine can hold: workers and adapters far beyond it are refused before anything of them is allocated. */
import { availableParallelism, totalmem } from "node:os";
import { type AdapterLayout, InputError, type ModelConfig } from "@zerogate/core";
import { formatBytes } from "@zerogate/core/formats";

export interface Machine {
  readonly cores: number;
  /** What this process may have: that of the machine, or of its container. */
  readonly memoryBytes: number;
}

/** More workers than cores wait for each other. A run may still move to a machine with an eighth of the cores. */
const WORKERS_PER_CORE = 8;
/** Allowed on every machine that has the memory. */
const FEW_WORKERS = 64;
/** The least that a worker takes, a thread of Node without its base. */
const WORKER_BYTES = 16 * 2 ** 20;
/** Float32 of a number and AdamW's two moments, and of the copy that a checkpoint is written from. */
const BYTES_PER_NUMBER = 24;
/** Float64 and fixed-point sums of the gradient. */
const BYTES_PER_NUMBER_AND_WORKER = 20;

function thisMachine(): Machine {
  const limit = process.constrainedMemory();
  const memoryBytes = limit > 0 ? Math.min(limit, totalmem()) : totalmem();
  return { cores: availableParallelism(), memoryBytes };
}

/** Says why this many workers cannot start; undefined if they can. */
export function workersProblem(workers: number, { cores, memoryBytes }: Machine = thisMachine()): string | undefined {
  const byCores = Math.max(FEW_WORKERS, WORKERS_PER_CORE * cores);
  const most = Math.max(1, Math.min(byCores, Math.floor(memoryBytes / WORKER_BYTES)));
  if (workers <= most) return undefined;
  const here = `this machine has ${cores} cores and ${formatBytes(memoryBytes)} of memory`;
  return `workers is ${workers}, ${here}: use at most ${most}, best is one a core (--workers ${Math.min(cores, most)})`;
}

/** @throws InputError if training what a fresh adapter has for images takes more than memory can hold. */
export function checkVisionSize(
  { shape, length }: Pick<AdapterLayout, "shape" | "length">,
  workers: number,
  { memoryBytes }: Machine = thisMachine(),
): void {
  if (!shape.vision) return;
  const bytes = (BYTES_PER_NUMBER + BYTES_PER_NUMBER_AND_WORKER * workers) * length;
  if (bytes <= memoryBytes) return;
  const needs = `training them with ${workers} workers takes ${formatBytes(bytes)} besides the base`;
  const size = `the adapter has ${length} numbers, most of them for images`;
  const way = shape.vision.fusion === "query" ? "--vision-embed and --vision-blocks" : "--projection-size";
  throw new InputError(
    "Cannot use this configuration",
    `${size}, ${needs}, this machine has ${formatBytes(memoryBytes)}: lower ${way}, or use fewer workers`,
  );
}

/** @throws InputError if a fresh adapter of this size is no use for the base, or more than memory can hold. */
export function checkAdapterSize(
  { adapterLen, adapterLayers }: { readonly adapterLen: number; readonly adapterLayers: number },
  { hiddenSize, heads, contextLength }: Pick<ModelConfig, "hiddenSize" | "heads" | "contextLength">,
  workers: number,
  { memoryBytes }: Machine = thisMachine(),
): void {
  const attempt = "Cannot use this configuration";
  if (adapterLen > contextLength) {
    const context = `the model's context is ${contextLength} tokens`;
    throw new InputError(attempt, `adapterLen is ${adapterLen}, ${context}: use at most that, the paper has 10`);
  }
  const perNumber = BYTES_PER_NUMBER + BYTES_PER_NUMBER_AND_WORKER * workers;
  const bytes = perNumber * adapterLayers * (adapterLen * hiddenSize + heads);
  if (bytes <= memoryBytes) return;
  const needs = `training it with ${workers} workers takes ${formatBytes(bytes)} besides the base`;
  const here = `this machine has ${formatBytes(memoryBytes)}`;
  const size = `adapterLen is ${adapterLen} in ${adapterLayers} layers`;
  throw new InputError(attempt, `${size}, ${needs}, ${here}: use fewer of them, or fewer workers`);
}
