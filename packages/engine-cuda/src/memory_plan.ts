/** How much memory a cell takes on a GPU, and the error if there is not enough. */
import { InputError, type ModelConfig, type WeightStorage } from "@zerogate/core";
import { baseBytes, dtypeOfStorage } from "@zerogate/core/engine";
import { deltaNumbers, keptForNorms, layersOfKinds, mlpWidth } from "@zerogate/core/training";
import { scratchNumbers } from "./delta_scratch.ts";
import type { Memory } from "./device_memory.ts";
import type { Gpu } from "./gpu.ts";

/** Sizes of a training cell, known before it runs. */
export interface MemoryPlan {
  /** The frozen base. */
  readonly weightBytes: number;
  /** What forward keeps of each token for backward, all adapted layers together. */
  readonly bytesPerToken: number;
  /** What every cell needs besides: workspace, the head's chunk of logits, one layer's temporaries a token. */
  readonly otherBytes: number;
  readonly workBytesPerToken: number;
  /** Tokens of the largest cell. */
  readonly tokens: number;
}

/** For cuBLASLt's algorithms. */
export const WORKSPACE_BYTES: number = 32 << 20;
/** Logits of one chunk in float32; their gradients beside them take half of it. */
export const CHUNK_LOGITS: number = 1 << 25;

/** The plan of cells of `tokens` tokens with `adaptedLayers` layers; inner activations of 2 bytes, or 4 in f32. */
export function planCell(
  model: ModelConfig,
  {
    tokens,
    adaptedLayers,
    compute,
    storage = "as-is",
  }: { tokens: number; adaptedLayers: number; compute: "f32" | "bf16"; storage?: WeightStorage },
): MemoryPlan {
  const inner = compute === "bf16" ? 2 : 4;
  const { hiddenSize: D, heads: H, kvHeads: G, headDim: d, vocabSize: V } = model;
  const F = mlpWidth(model);
  const [Q, X] = [H * d, (H + 2 * G) * d];
  const { queriesKeys, outputs } = keptForNorms(model);
  // x and x1 of the residual stream, statistics; gate and up; then log-sum-exp, qkv, o, and a gate with what it multiplies.
  const everywhere = 4 * (2 * D + 4) + inner * (2 * F + outputs);
  const attention = 4 * H + inner * (X + Q + queriesKeys + (model.outputGate ? 2 * Q : 0));
  const ofDelta = model.deltaNet && deltaBytes(model.deltaNet, inner);
  const keptOf = (depth: number) => {
    const { attending, delta } = layersOfKinds(model, depth);
    return depth * everywhere + attending * attention + delta * (ofDelta?.kept ?? 0);
  };
  // At the widest place of backward: dx twice, ds, dgateUp, dm or dqkv, do; or in a delta net, above which nothing is kept any more.
  const above = model.layers - 1 - Math.max(-1, ...(model.deltaNet?.layers ?? []));
  const ofNet = ofDelta && above < adaptedLayers ? ofDelta.work - keptOf(above) : 0;
  const work = 4 * 3 * D + Math.max(inner * (3 * F + X + Q + 2 * D), ofNet);
  const logits = V * Math.min(tokens, Math.max(1, Math.floor(CHUNK_LOGITS / V)));
  // Of 8 or 4 bits in memory, the one that is being multiplied in inner numbers.
  const maps = storage === "as-is" ? compute : dtypeOfStorage(storage);
  const widened = storage === "as-is" ? 0 : inner * D * Math.max(X, 2 * F);
  return {
    weightBytes: baseBytes(model, compute, maps),
    bytesPerToken: keptOf(adaptedLayers),
    otherBytes: WORKSPACE_BYTES + widened + logits * (4 + inner),
    workBytesPerToken: work,
    tokens,
  };
}

/** Bytes of a token in a gated delta net: kept for backward, and at most besides while backward runs there. */
function deltaBytes(deltaNet: NonNullable<ModelConfig["deltaNet"]>, inner: number): { kept: number; work: number } {
  const { kept, keptInner, work, workInner } = deltaNumbers(deltaNet);
  return { kept: 4 * kept + inner * keptInner, work: 4 * (work + scratchNumbers(deltaNet)) + inner * workInner };
}

/** What a plan needs for its largest cell. */
function plannedBytes(plan: MemoryPlan): number {
  return plan.weightBytes + plan.otherBytes + plan.tokens * (plan.bytesPerToken + plan.workBytesPerToken);
}

/** Returns the tokens of the largest cell that fits into this many bytes, 0 if not even the base does. */
function tokensThatFit(
  { weightBytes, otherBytes, bytesPerToken, workBytesPerToken }: MemoryPlan,
  bytes: number,
): number {
  return Math.max(0, Math.floor((bytes - weightBytes - otherBytes) / (bytesPerToken + workBytesPerToken)));
}

/** The error of an allocation that failed, with the plan and what would fit. */
export function outOfMemory(
  gpu: Gpu,
  asked: number,
  { used, held }: ReturnType<Memory["usage"]>,
  plan: MemoryPlan | undefined,
): InputError {
  const free = gpu.freeBytes();
  const others = gpu.memoryBytes - free - held;
  const state = `${gib(asked)} are asked for, ${gib(free)} of ${gib(gpu.memoryBytes)} are free; this engine uses ${gib(used)}, others use ${gib(others)}`;
  return new InputError(`Cannot hold this on ${gpu.title}`, plan ? [state, ...planLines(plan, free + held)] : state);
}

function planLines(plan: MemoryPlan, bytes: number): string[] {
  const { weightBytes, otherBytes, bytesPerToken, workBytesPerToken, tokens } = plan;
  const share = `${tokens} tokens of ${((bytesPerToken + workBytesPerToken) / 2 ** 20).toFixed(2)} MiB`;
  const line = `the plan is ${gib(weightBytes)} of weights, ${gib(otherBytes)} besides, and a cell of ${share}: ${gib(plannedBytes(plan))}`;
  const fits = tokensThatFit(plan, bytes);
  return [
    line,
    fits > 0
      ? `cells of ${fits} tokens fit: set --cell-tokens to that or less`
      : "the base alone does not fit: take a larger GPU",
  ];
}

const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(2)} GiB`;
