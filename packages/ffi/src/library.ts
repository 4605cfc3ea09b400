/**
 * Native libraries of other people (MPI, CUDA), called without a compiler. One small interface over koffi, so that Node's own
 * `node:ffi` can take its place one day. Calls run on the thread that makes them, so what a library keeps per thread stays put.
 */
import { createRequire } from "node:module";
import { InputError } from "@zerogate/core";
import { type Address, checkArguments, koffiNames, type NativeFunction, type Signature } from "./native_types.ts";

type Koffi = typeof import("koffi");
type LibraryHandle = ReturnType<Koffi["load"]>;

/** koffi's own default of 2 MiB is too little for NVRTC; an overflow is a SIGSEGV, not an exception. */
const STACK_BYTES = 8 << 20;

export interface LibraryOptions {
  /** For people: "Open MPI", "the CUDA driver". */
  readonly name: string;
  /** File names or paths, tried in this order; a bare name is looked up as dlopen does. */
  readonly candidates: readonly string[];
  /** Advice for somebody who has none of them, for example "install it with apt-get install openmpi-bin". */
  readonly remedy: string;
  /** Offers its symbols to libraries loaded later (RTLD_GLOBAL), as plug-ins of some MPI builds need. */
  readonly global?: boolean;
}

export interface Library {
  /** The candidate that was loaded. */
  readonly path: string;
  /** Whether the library has a function of this name. */
  has(symbol: string): boolean;
  /** Returns the address of an exported variable or function. @throws InputError if the library does not export it. */
  address(symbol: string): Address;
  /** Typed functions for a table of signatures, all looked up now. @throws InputError naming all that are missing. */
  functions<const D extends Readonly<Record<string, Signature>>>(
    table: D,
  ): { readonly [N in keyof D]: NativeFunction<D[N]> };
}

let loaded: Koffi | undefined;

/** koffi for this thread; its binary is an optional dependency, so it is absent if npm omits those. */
function koffi(): Koffi {
  if (loaded) return loaded;
  try {
    loaded = createRequire(import.meta.url)("koffi") as Koffi;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.split("\n", 1)[0] : String(cause);
    const what = `${reason} on ${process.platform} ${process.arch}, install the packages with their optional dependencies`;
    throw new InputError("Cannot call native libraries (koffi)", what, { cause });
  }
  loaded.config({ ...loaded.config(), sync_stack_size: STACK_BYTES }); // only before the first library of a thread
  return loaded;
}

/** Loads the first candidate that loads. @throws InputError that lists every try with its reason, and the remedy. */
export function openLibrary({ name, candidates, remedy, global = false }: LibraryOptions): Library {
  const { load } = koffi();
  const tries: string[] = [];
  for (const path of candidates) {
    try {
      return library(name, path, load(path, { global }));
    } catch (error) {
      tries.push(`${path}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  throw new InputError(`Cannot load ${name}`, [...tries, remedy]);
}

/**
 * Returns the address of a view's memory, for tables of pointers. It stays there for as long as the view is referenced. The view needs 64
 * bytes at least: smaller ones may move.
 */
export function addressOf(view: ArrayBufferView): Address {
  if (view.byteLength < 64)
    throw new RangeError(`Cannot take an address: the view has ${view.byteLength} bytes, 64 are needed`);
  return koffi().address(view);
}

/** Memory of a library, seen from here. Nothing keeps it alive: it must not be used after the library has freed it. */
export function memoryAt(address: Address, bytes: number): ArrayBuffer {
  return koffi().view(address, bytes);
}

function library(name: string, path: string, handle: LibraryHandle): Library {
  const symbolOf = (symbol: string): Address | undefined => {
    try {
      return BigInt(handle.symbol(symbol));
    } catch {
      return undefined;
    }
  };
  return {
    path,
    has: (symbol) => symbolOf(symbol) !== undefined,
    address(symbol) {
      const address = symbolOf(symbol);
      if (address === undefined) throw missing(name, path, [symbol]);
      return address;
    },
    functions(table) {
      const absent = Object.keys(table).filter((symbol) => symbolOf(symbol) === undefined);
      if (absent.length > 0) throw missing(name, path, absent);
      const bind = ([symbol, signature]: [string, Signature]) => [symbol, nativeFunction(handle, symbol, signature)];
      return Object.fromEntries(Object.entries(table).map(bind));
    },
  };
}

function nativeFunction(handle: LibraryHandle, symbol: string, { result, parameters }: Signature) {
  const types = parameters.map((type) => koffiNames[type]);
  const call = handle.func(symbol, koffiNames[result], types);
  const isWide = result === "int64" || result === "uint64" || result === "size" || result === "pointer";
  return (...values: unknown[]) => {
    checkArguments(symbol, parameters, values);
    const value: unknown = call(...values);
    // koffi gives small 64-bit numbers as number, and a null pointer as null.
    return isWide ? BigInt((value as bigint | number | null) ?? 0) : value;
  };
}

function missing(name: string, path: string, symbols: readonly string[]): InputError {
  const what = `${path} does not export ${symbols.join(", ")}, another version of it is needed`;
  return new InputError(`Cannot use ${name}`, what);
}
