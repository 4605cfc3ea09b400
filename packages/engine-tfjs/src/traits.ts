/** What is known of a backend before it is opened: for choosing, planning and starting workers. Loads nothing. */
import { WASM_LIMIT } from "./backends/wasm.ts";
import { needs, type TfjsBackend } from "./names.ts";
import { findPackages } from "./packages.ts";

/** What a backend can do on this machine. */
export interface TfjsTraits {
  /** What is not installed and how to install it. */
  readonly missing?: string;
  /** What one engine can hold, if the backend has such a limit of its own. */
  readonly memoryBytes: number;
  /** Copies of the base in f32 that an engine holds in addition to the given one. */
  readonly weightCopies: number;
  /**
   * tfjs-node-gpu takes the last GPU that its process sees and has no setting for it, so each device needs a process of its
   * own with this environment. Memory is taken as it is needed instead of all at once.
   */
  readonly processEnv?: (device: number) => Readonly<Record<string, string>>;
}

/** Returns what a backend can do here; nothing is loaded. */
export function tfjsTraits(backend: TfjsBackend): TfjsTraits {
  return { ...(findPackages(backend) ? {} : { missing: needs(backend) }), ...ownTraits[backend] };
}

const unlimited = { memoryBytes: Number.POSITIVE_INFINITY, weightCopies: 1 };

const ownTraits: Readonly<Record<TfjsBackend, TfjsTraits>> = {
  "node-gpu": {
    ...unlimited,
    processEnv: (device) => ({ CUDA_VISIBLE_DEVICES: visibleGpu(device), TF_FORCE_GPU_ALLOW_GROWTH: "true" }),
  },
  node: { ...unlimited, processEnv: () => ({}) }, // its native code in two threads of one process ended a run once
  webgpu: unlimited,
  wasm: { memoryBytes: WASM_LIMIT, weightCopies: 2 }, // backward keeps its weights a second time, packed
  cpu: { ...unlimited, weightCopies: 0 },
};

/** The device-th of the GPUs that we may use ourselves; none if there are fewer. */
function visibleGpu(device: number): string {
  const { CUDA_VISIBLE_DEVICES: ours } = process.env;
  return ours === undefined ? String(device) : (ours.split(",")[device]?.trim() ?? "");
}
