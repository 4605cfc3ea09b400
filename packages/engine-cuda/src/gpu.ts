/** One GPU as this thread sees it: its primary context, current in the thread, and one stream for all work. */
import { EngineLostError, InputError } from "@zerogate/core";
import { CudaError } from "./cuda_error.ts";
import { type Driver, type DriverFunctions, openDriver } from "./native/driver.ts";
import { CU, CUDA_ERROR } from "./native/numbers.ts";

/** What is known of a GPU without a context on it. */
export interface GpuFacts {
  readonly ordinal: number;
  readonly name: string;
  /** Compute capability: 9.0 is 90. */
  readonly architecture: number;
  readonly memoryBytes: number;
  /** Fewer than the model has if a GPU is shared out. */
  readonly multiprocessors: number;
}

export interface Gpu extends GpuFacts {
  readonly driver: Driver;
  readonly stream: bigint;
  /** `GPU 0 (NVIDIA H100)`. */
  readonly title: string;
  /**
   * Calls the driver. Throws a `CudaError` if it returns anything but 0, an `EngineLostError` if the context is lost.
   * @param what what the call is a part of, for people: "run swiglu".
   */
  call<N extends keyof DriverFunctions>(what: string, name: N, ...args: Parameters<DriverFunctions[N]>): void;
  /** Waits for all work. */
  synchronize(what: string): void;
  /** Bytes that the driver could still give: now, of all users of the GPU. */
  freeBytes(): number;
  /** Gives the context back; the last user of a process frees all memory in it. */
  close(): void;
}

/** Kernels use mma of bf16 and cp.async. */
const OLDEST_ARCHITECTURE = 80;
const FATAL: ReadonlySet<number> = new Set(Object.values(CUDA_ERROR));

/** Every GPU that the driver lists, also those that are too old. @throws InputError if there is no usable driver. */
export function listGpus(): GpuFacts[] {
  const driver = openDriver();
  const count = new Int32Array(16);
  check(driver, "list GPUs", "cuDeviceGetCount", driver.calls.cuDeviceGetCount(count));
  return Array.from({ length: count[0] ?? 0 }, (_, ordinal) => factsOf(driver, ordinal));
}

/** The context that is current in this thread, and how many engines are in it. */
const current = { ordinal: -1, users: 0 };

/** @throws InputError if there is no such GPU, or it is too old; RangeError if this thread is on another one. */
export function openGpu(ordinal: number): Gpu {
  const driver = openDriver();
  const all = listGpus();
  const facts = all[ordinal];
  if (!facts) {
    const found = all.map((gpu) => `${gpu.ordinal} (${gpu.name})`).join(", ") || "none";
    throw new InputError(`Cannot use GPU ${ordinal}`, `the driver lists ${found}: name one of them`);
  }
  const title = `GPU ${ordinal} (${facts.name})`;
  const problem = tooOld(facts);
  if (problem) throw new InputError(`Cannot use ${title}`, problem);
  if (current.users > 0 && current.ordinal !== ordinal) {
    throw new RangeError(`Cannot open ${title}: this thread is on GPU ${current.ordinal}, take a thread for each`);
  }

  const call: Gpu["call"] = (what, name, ...args) => {
    const run = driver.calls[name] as (...given: typeof args) => number;
    check(driver, `${what} on ${title}`, name, run(...args));
  };
  const device = new Int32Array(16);
  call("open", "cuDeviceGet", device, ordinal);
  const [id = 0] = device;
  // A waiting thread gives its processor away. Refused if the context is in use already: as good.
  driver.calls.cuDevicePrimaryCtxSetFlags_v2(id, CU.CTX_SCHED_BLOCKING_SYNC);
  const context = new BigUint64Array(8);
  call("open a context", "cuDevicePrimaryCtxRetain", context, id);
  call("enter the context", "cuCtxSetCurrent", context[0] ?? 0n);
  const created = new BigUint64Array(8);
  call("open a stream", "cuStreamCreate", created, CU.STREAM_NON_BLOCKING); // does not wait for the default one
  const [stream = 0n] = created;
  current.ordinal = ordinal;
  current.users++;
  return {
    ...facts,
    driver,
    stream,
    title,
    call,
    synchronize: (what) => call(what, "cuStreamSynchronize", stream),
    freeBytes() {
      const [free, total] = [new BigUint64Array(8), new BigUint64Array(8)];
      call("ask for memory", "cuMemGetInfo_v2", free, total);
      return Number(free[0]);
    },
    close() {
      driver.calls.cuStreamDestroy_v2(stream);
      if (--current.users === 0) driver.calls.cuCtxSetCurrent(0n);
      driver.calls.cuDevicePrimaryCtxRelease_v2(id);
    },
  };
}

/** Why a GPU cannot be used, if so. */
export function tooOld({ architecture }: GpuFacts): string | undefined {
  if (architecture >= OLDEST_ARCHITECTURE) return undefined;
  const needed = `${shown(OLDEST_ARCHITECTURE)} (Ampere) or newer is needed`;
  return `its compute capability is ${shown(architecture)}, ${needed}`;
}

const shown = (architecture: number) => (architecture / 10).toFixed(1);

function factsOf(driver: Driver, ordinal: number): GpuFacts {
  const { calls } = driver;
  const device = new Int32Array(16);
  check(driver, `find GPU ${ordinal}`, "cuDeviceGet", calls.cuDeviceGet(device, ordinal));
  const [id = 0] = device;
  const name = new Uint8Array(128);
  check(driver, `name GPU ${ordinal}`, "cuDeviceGetName", calls.cuDeviceGetName(name, name.length, id));
  const attribute = (number: number) => {
    const value = new Int32Array(16);
    check(driver, `ask GPU ${ordinal}`, "cuDeviceGetAttribute", calls.cuDeviceGetAttribute(value, number, id));
    return value[0] ?? 0;
  };
  const bytes = new BigUint64Array(8);
  check(driver, `ask GPU ${ordinal}`, "cuDeviceTotalMem_v2", calls.cuDeviceTotalMem_v2(bytes, id));
  return {
    ordinal,
    name: new TextDecoder().decode(name.subarray(0, name.indexOf(0))),
    architecture:
      10 * attribute(CU.DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR) +
      attribute(CU.DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR),
    memoryBytes: Number(bytes[0]),
    multiprocessors: attribute(CU.DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT),
  };
}

function check(driver: Driver, what: string, name: string, code: number): void {
  if (code === 0) return;
  const error = new CudaError(what, name, code, driver.nameOf(code));
  if (!FATAL.has(code)) throw error;
  throw new EngineLostError(`${error.message}; the context is lost, a new process is needed`, { cause: error });
}
