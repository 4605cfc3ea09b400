/** libcuda, the driver API: the functions that the engine calls, and which version it needs. */
import { InputError } from "@zerogate/core";
import { type Library, memoryAt, type NativeFunction, openLibrary } from "@zerogate/ffi";
import { candidates } from "./locate.ts";

/** What the engine calls, with the types of its arguments. */
export const driverTable = {
  cuInit: { result: "int32", parameters: ["uint32"] },
  cuDriverGetVersion: { result: "int32", parameters: ["pointer"] },
  cuDeviceGetCount: { result: "int32", parameters: ["pointer"] },
  cuDeviceGet: { result: "int32", parameters: ["pointer", "int32"] },
  cuDeviceGetName: { result: "int32", parameters: ["pointer", "int32", "int32"] },
  cuDeviceGetAttribute: { result: "int32", parameters: ["pointer", "int32", "int32"] },
  cuDeviceTotalMem_v2: { result: "int32", parameters: ["pointer", "int32"] },
  cuDevicePrimaryCtxSetFlags_v2: { result: "int32", parameters: ["int32", "uint32"] },
  cuDevicePrimaryCtxRetain: { result: "int32", parameters: ["pointer", "int32"] },
  cuDevicePrimaryCtxRelease_v2: { result: "int32", parameters: ["int32"] },
  cuCtxSetCurrent: { result: "int32", parameters: ["uint64"] },
  cuMemGetInfo_v2: { result: "int32", parameters: ["pointer", "pointer"] },
  cuMemAlloc_v2: { result: "int32", parameters: ["pointer", "size"] },
  cuMemFree_v2: { result: "int32", parameters: ["uint64"] },
  cuMemHostAlloc: { result: "int32", parameters: ["pointer", "size", "uint32"] },
  cuMemFreeHost: { result: "int32", parameters: ["uint64"] },
  cuMemcpyHtoDAsync_v2: { result: "int32", parameters: ["uint64", "pointer", "size", "uint64"] },
  cuMemcpyDtoHAsync_v2: { result: "int32", parameters: ["pointer", "uint64", "size", "uint64"] },
  cuMemcpyDtoDAsync_v2: { result: "int32", parameters: ["uint64", "uint64", "size", "uint64"] },
  cuMemsetD8Async: { result: "int32", parameters: ["uint64", "uint32", "size", "uint64"] },
  cuModuleLoadData: { result: "int32", parameters: ["pointer", "pointer"] },
  cuModuleGetFunction: { result: "int32", parameters: ["pointer", "uint64", "string"] },
  cuFuncSetAttribute: { result: "int32", parameters: ["uint64", "int32", "int32"] },
  cuLaunchKernel: {
    result: "int32",
    parameters: [
      "uint64",
      "uint32",
      "uint32",
      "uint32",
      "uint32",
      "uint32",
      "uint32",
      "uint32",
      "uint64",
      "pointer",
      "pointer",
    ],
  },
  cuStreamCreate: { result: "int32", parameters: ["pointer", "uint32"] },
  cuStreamDestroy_v2: { result: "int32", parameters: ["uint64"] },
  cuStreamSynchronize: { result: "int32", parameters: ["uint64"] },
  cuEventCreate: { result: "int32", parameters: ["pointer", "uint32"] },
  cuEventRecord: { result: "int32", parameters: ["uint64", "uint64"] },
  cuEventSynchronize: { result: "int32", parameters: ["uint64"] },
  cuEventElapsedTime: { result: "int32", parameters: ["pointer", "uint64", "uint64"] },
  cuEventDestroy_v2: { result: "int32", parameters: ["uint64"] },
  cuStreamBeginCapture_v2: { result: "int32", parameters: ["uint64", "int32"] },
  cuStreamEndCapture: { result: "int32", parameters: ["uint64", "pointer"] },
  cuGraphInstantiateWithFlags: { result: "int32", parameters: ["pointer", "uint64", "uint64"] },
  cuGraphLaunch: { result: "int32", parameters: ["uint64", "uint64"] },
  cuGraphDestroy: { result: "int32", parameters: ["uint64"] },
  cuGraphExecDestroy: { result: "int32", parameters: ["uint64"] },
  cuGetErrorName: { result: "int32", parameters: ["int32", "pointer"] },
} as const;

export type DriverFunctions = { readonly [N in keyof typeof driverTable]: NativeFunction<(typeof driverTable)[N]> };

export interface Driver {
  readonly path: string;
  /** CUDA version that the driver supports, as `[13, 0]`. */
  readonly version: readonly [major: number, minor: number];
  readonly calls: DriverFunctions;
  /** The driver's name of a status, or `status 999`. */
  nameOf(code: number): string;
}

/** The oldest CUDA whose driver has all of the above under these names. */
const OLDEST_MAJOR = 12;

let opened: Driver | undefined;

/** Loads and initialises the driver of this machine, once a thread. @throws InputError if there is none, or too old a one. */
export function openDriver(): Driver {
  opened ??= open();
  return opened;
}

function open(): Driver {
  const place = { variable: "ZEROGATE_LIBCUDA", names: ["libcuda.so.1", "libcuda.so"] };
  const remedy = "it comes with NVIDIA's driver: install that, or name the file in ZEROGATE_LIBCUDA";
  const library = openLibrary({ name: "the NVIDIA driver (libcuda)", candidates: candidates(place), remedy });
  const version = driverVersion(library);
  if (version[0] < OLDEST_MAJOR) {
    const needed = `${OLDEST_MAJOR}.0 or newer is needed: update the driver (525 or newer)`;
    throw new InputError(
      "Cannot use the NVIDIA driver",
      `${library.path} supports CUDA ${version.join(".")}, ${needed}`,
    );
  }
  const calls = library.functions(driverTable);
  const driver: Driver = { path: library.path, version, calls, nameOf: (code) => errorName(calls, code) };
  const code = calls.cuInit(0);
  if (code !== 0) {
    const what = `cuInit says ${driver.nameOf(code)}, a GPU that the driver can use is needed (nvidia-smi lists them)`;
    throw new InputError("Cannot use the NVIDIA driver", what);
  }
  return driver;
}

function driverVersion(library: Library): Driver["version"] {
  const { cuDriverGetVersion } = library.functions({ cuDriverGetVersion: driverTable.cuDriverGetVersion });
  const number = new Int32Array(16);
  cuDriverGetVersion(number);
  const [version = 0] = number;
  return [Math.floor(version / 1000), Math.floor((version % 1000) / 10)];
}

function errorName({ cuGetErrorName }: DriverFunctions, code: number): string {
  const text = new BigUint64Array(8);
  if (cuGetErrorName(code, text) !== 0 || text[0] === undefined || text[0] === 0n) return `status ${code}`;
  const bytes = new Uint8Array(memoryAt(text[0], 64));
  return new TextDecoder().decode(bytes.slice(0, bytes.indexOf(0)));
}
