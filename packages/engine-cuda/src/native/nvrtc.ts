/** NVRTC: compiles a kernel file for one architecture, at run time. */
import { dirname, join } from "node:path";
import { InputError } from "@zerogate/core";
import { addressOf, type NativeFunction, openLibrary } from "@zerogate/ffi";
import { candidates, entries } from "./locate.ts";

const table = {
  nvrtcVersion: { result: "int32", parameters: ["pointer", "pointer"] },
  nvrtcGetErrorString: { result: "string", parameters: ["int32"] },
  nvrtcGetNumSupportedArchs: { result: "int32", parameters: ["pointer"] },
  nvrtcGetSupportedArchs: { result: "int32", parameters: ["pointer"] },
  nvrtcCreateProgram: { result: "int32", parameters: ["pointer", "string", "string", "int32", "pointer", "pointer"] },
  nvrtcCompileProgram: { result: "int32", parameters: ["uint64", "int32", "pointer"] },
  nvrtcGetProgramLogSize: { result: "int32", parameters: ["uint64", "pointer"] },
  nvrtcGetProgramLog: { result: "int32", parameters: ["uint64", "pointer"] },
  nvrtcGetCUBINSize: { result: "int32", parameters: ["uint64", "pointer"] },
  nvrtcGetCUBIN: { result: "int32", parameters: ["uint64", "pointer"] },
  nvrtcDestroyProgram: { result: "int32", parameters: ["pointer"] },
} as const;
type Calls = { readonly [N in keyof typeof table]: NativeFunction<(typeof table)[N]> };

export interface Source {
  readonly name: string;
  readonly text: string;
  /** Included by name, in memory. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface Nvrtc {
  readonly path: string;
  /** `13.0`. */
  readonly version: string;
  /** Compute capabilities that it compiles for, as 80 or 90. */
  readonly architectures: readonly number[];
  /** A cubin. @throws Error with the compiler's log if the source does not compile. */
  compile(source: Source, options: readonly string[]): Uint8Array;
}

/** @param newest the driver's CUDA: a newer compiler's code would not load. @throws InputError if it is nowhere. */
export function openNvrtc(newest: number): Nvrtc {
  const names = [13, 12].filter((major) => major <= newest).map((major) => `libnvrtc.so.${major}`);
  const paths = candidates({ variable: "ZEROGATE_NVRTC", names });
  // NVRTC opens its builtins by bare name: they must be there before. Those of a file that is not there are not there either.
  for (const path of paths.filter((one) => one.includes("/"))) preloadBuiltins(dirname(path));
  const remedy = `pip install nvidia-cuda-nvrtc, or install the CUDA toolkit ${newest} or older, or name the file in ZEROGATE_NVRTC`;
  const library = openLibrary({ name: "NVRTC, the compiler of CUDA kernels", candidates: paths, remedy });
  const calls = library.functions(table);
  const [major, minor, count] = [new Int32Array(16), new Int32Array(16), new Int32Array(16)];
  calls.nvrtcVersion(major, minor);
  calls.nvrtcGetNumSupportedArchs(count);
  const architectures = new Int32Array(Math.max(16, count[0] ?? 0));
  calls.nvrtcGetSupportedArchs(architectures);
  return {
    path: library.path,
    version: `${major[0]}.${minor[0]}`,
    architectures: [...architectures.subarray(0, count[0])],
    compile: (source, options) => compile(calls, source, options),
  };
}

function preloadBuiltins(folder: string): void {
  const names = entries(folder).filter((name) => /^libnvrtc-builtins\.so\.\d+\.\d+$/.test(name));
  for (const name of names) {
    try {
      openLibrary({ name, candidates: [join(folder, name)], remedy: "reinstall NVRTC" });
    } catch (error) {
      if (!(error instanceof InputError)) throw error; // NVRTC itself will say what it misses
    }
  }
}

function compile(calls: Calls, { name, text, headers }: Source, options: readonly string[]): Uint8Array {
  const program = new BigUint64Array(8);
  const [names, texts] = [strings(Object.keys(headers)), strings(Object.values(headers))];
  const check = (code: number, what: string) => {
    if (code !== 0) throw new Error(`Cannot compile ${name}: ${what} says ${calls.nvrtcGetErrorString(code)}`);
  };
  const count = Object.keys(headers).length;
  check(calls.nvrtcCreateProgram(program, text, name, count, texts, names), "nvrtcCreateProgram");
  const [handle = 0n] = program;
  try {
    const code = calls.nvrtcCompileProgram(handle, options.length, strings(options));
    if (code !== 0) {
      const log = new TextDecoder().decode(bytesOf(calls.nvrtcGetProgramLogSize, calls.nvrtcGetProgramLog, handle));
      const what = `NVRTC says ${calls.nvrtcGetErrorString(code)} with ${options.join(" ")}`;
      throw new Error(`Cannot compile ${name}: ${what}\n${log.replace(/\0.*/s, "").trimEnd()}`);
    }
    return bytesOf(calls.nvrtcGetCUBINSize, calls.nvrtcGetCUBIN, handle);
  } finally {
    calls.nvrtcDestroyProgram(program);
  }
}

function bytesOf(
  size: NativeFunction<(typeof table)["nvrtcGetCUBINSize"]>,
  get: NativeFunction<(typeof table)["nvrtcGetCUBIN"]>,
  program: bigint,
): Uint8Array {
  const length = new BigUint64Array(8);
  size(program, length);
  const bytes = new Uint8Array(Number(length[0]));
  if (bytes.length > 0) get(program, bytes);
  return bytes;
}

/** A `char**`, which keeps what it points to alive: it is a property of it. */
function strings(values: readonly string[]): BigUint64Array {
  const texts = values.map((value) => {
    const bytes = new TextEncoder().encode(`${value}\0`);
    const room = new Uint8Array(Math.max(64, bytes.length));
    room.set(bytes);
    return room;
  });
  const pointers = new BigUint64Array(Math.max(8, texts.length));
  for (const [i, text] of texts.entries()) pointers[i] = addressOf(text);
  return Object.assign(pointers, { texts });
}
