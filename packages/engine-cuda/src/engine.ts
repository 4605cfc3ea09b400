/** Core's Engine on one NVIDIA GPU. */
import { InputError, type WeightStorage } from "@zerogate/core";
import { type Engine, flatEngine } from "@zerogate/core/engine";
import { openGpu } from "./gpu.ts";
import type { MemoryPlan } from "./memory_plan.ts";
import { attention, attentionBackward, type CudaCache, cachedAttention } from "./ops/attention.ts";
import { deltaState, gatedDelta, gatedDeltaBackward } from "./ops/delta.ts";
import { flatOperation } from "./ops/flat.ts";
import { groupedLinear, groupedLinearBackward } from "./ops/grouped.ts";
import { headLoss } from "./ops/head.ts";
import { linear, linearBackward } from "./ops/linear.ts";
import {
  promptAttention,
  promptAttentionBackward,
  promptedAttention,
  promptedAttentionBackward,
} from "./ops/prompt.ts";
import { embed, scatterRows } from "./ops/rows.ts";
import { bytesOf, createRuntime, type Runtime, rowwise, WIDE } from "./runtime.ts";
import { weightDtypes } from "./weight_dtypes.ts";
import { createMatrix } from "./weights.ts";

/** How the engine computes on GPUs. */
export interface CudaEngineOptions {
  /** GPUs by the driver's numbers, one for each device. Default: 0, 1, 2, … */
  readonly devices?: readonly number[];
  /**
   * `bf16` (default): products, attention and inner activations in bf16, sums and the residual stream in float32. `f32`: all
   * in float32, on plain cores, to compare with.
   */
  readonly compute?: "f32" | "bf16";
  /** How linear maps are held; then it is part of the name. */
  readonly storage?: WeightStorage;
  /** Times the algorithms of products once and remembers the fastest; default unless ZEROGATE_CUDA_TUNE is 0. */
  readonly tune?: boolean;
  /**
   * Waits after each kernel, allocates each array by itself and fills it with NaN, for memory checkers too; default if
   * ZEROGATE_CUDA_DEBUG is 1.
   */
  readonly debug?: boolean;
  /** Decodes by CUDA graphs; default unless ZEROGATE_CUDA_GRAPHS is 0. */
  readonly graphs?: boolean;
  /** Describes the memory plan in the error of a full GPU. */
  readonly plan?: MemoryPlan | undefined;
}

export interface CudaEngine extends Engine {
  /** Bytes of GPU memory in use and taken from the driver: now, and at most in use so far. */
  memory(): { readonly bytes: number; readonly peakBytes: number; readonly heldBytes: number };
  /** Gives all memory back; the engine cannot be used after it. The end of a process does the same, that of a thread does not. */
  close(): void;
}

/**
 * Opens an engine on a GPU, in this thread: its context is current here. `device` counts from 0 in `devices`.
 *
 * @throws InputError if driver, NVRTC or cuBLASLt are not on this machine, or the GPU is not there or too old.
 */
export function createEngine(options: CudaEngineOptions = {}, device = 0): CudaEngine {
  const { devices, compute = "bf16", storage = "as-is", plan } = options;
  const { tune = process.env["ZEROGATE_CUDA_TUNE"] !== "0", debug = process.env["ZEROGATE_CUDA_DEBUG"] === "1" } =
    options;
  const { graphs = process.env["ZEROGATE_CUDA_GRAPHS"] !== "0" } = options;
  const ordinal = devices ? devices[device] : device;
  if (ordinal === undefined) {
    const found = `devices ${devices?.join(", ")} are named, worker ${device + 1} has none: name a GPU for each worker`;
    throw new InputError("Cannot use the engine cuda", found);
  }
  const runtime = createRuntime(openGpu(ordinal), { compute, tune, debug, graphs, plan });
  const onExit = () => runtime.close();
  process.once("exit", onExit); // of a thread only if it ends by itself: one that is terminated runs no handlers
  return {
    ...engineOver(runtime, storage),
    memory() {
      const { used, peak, held } = runtime.usage();
      return { bytes: used, peakBytes: peak, heldBytes: held };
    },
    close() {
      process.off("exit", onExit);
      runtime.close();
    },
  };
}

/** The operations over a runtime; benchmarks call it too. */
export function engineOver(runtime: Runtime, storage: WeightStorage = "as-is"): Engine {
  const { inner } = runtime;
  const [at, array] = [runtime.at, runtime.array];

  return {
    name: `cuda/${runtime.version}/${inner}${storage === "as-is" ? "" : `/${storage}`}`,
    weightDtypes,
    softCaps: true,
    matrix: (tensor) => createMatrix(runtime, tensor),
    upload(values) {
      const y = array(values.length);
      const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
      runtime.staging.upload(at(y), bytes);
      return y;
    },
    readNow: (x) =>
      runtime.as("f32", [x], (from = 0n) => {
        const out = new Float32Array(x.length);
        runtime.staging.download(new Uint8Array(out.buffer), from);
        return out;
      }),
    read: (x) =>
      runtime.as("f32", [x], async (from = 0n) => {
        const out = new Float32Array(x.length);
        await runtime.staging.read(new Uint8Array(out.buffer), from);
        return out;
      }),
    free: runtime.free,
    keep: runtime.keep,
    arena: runtime.arena,
    repeated: runtime.repeated,
    kvCache: (capacity, Y): CudaCache => ({ capacity, block: runtime.hold(capacity * Y * bytesOf[inner]) }),
    deltaState: (size) => deltaState(runtime, size),
    freeCache: (cache) => runtime.release((cache as CudaCache).block),

    embed: (table, ids_T, options = {}) => embed(runtime, table, ids_T, options),
    ...flatEngine((name, operation) => flatOperation(runtime, name, operation)),
    scatterRows: (dy, rows_R, size) => scatterRows(runtime, dy, rows_R, size),

    linear: (x, weight, options) => linear(runtime, x, weight, options),
    linearBackward: (dy, weight, options) => linearBackward(runtime, dy, weight, options),
    groupedLinear: (x, weight, bounds) => groupedLinear(runtime, x, weight, bounds),
    groupedLinearBackward: (dy, weight, bounds) => groupedLinearBackward(runtime, dy, weight, bounds),

    rope(qkv, cosSin, { T, H, G, d, inverse = false }) {
      const args = [runtime.makeInner(qkv), at(cosSin), H + G, d, (H + 2 * G) * d, inverse ? -1 : 1];
      runtime.run("rope", "rope", rowwise(T, ((H + G) * d) / (2 * WIDE)), args);
    },
    attention: (qkv, cuSeqlens, size) => attention(runtime, qkv, cuSeqlens, size),
    attentionBackward: (input, cuSeqlens, size) => attentionBackward(runtime, input, cuSeqlens, size),
    cachedAttention: (qkv, caches, starts, cuSeqlens, size) =>
      cachedAttention(runtime, qkv, caches, starts, cuSeqlens, size),
    promptAttention: (o, input, size) => promptAttention(runtime, o, input, size),
    promptAttentionBackward: (input, size) => promptAttentionBackward(runtime, input, size),
    promptedAttention: (input, cuSeqlens, size) => promptedAttention(runtime, input, cuSeqlens, size),
    promptedAttentionBackward: (input, cuSeqlens, size) => promptedAttentionBackward(runtime, input, cuSeqlens, size),

    gatedDelta: (input, weights, cuSeqlens, size, past) => gatedDelta(runtime, input, weights, cuSeqlens, size, past),
    gatedDeltaBackward: (input, weights, cuSeqlens, size) =>
      gatedDeltaBackward(runtime, input, weights, cuSeqlens, size),
    headLoss: (y, head, labels_R, size) => headLoss(runtime, y, head, labels_R, size),
  };
}
