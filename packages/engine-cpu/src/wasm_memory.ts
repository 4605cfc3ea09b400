/** The kernels in WebAssembly with a memory of their own, and what lies in it: arrays behind handles, and weights. */
import { readFileSync } from "node:fs";
import { InputError } from "@zerogate/core";
import type { FlatName } from "@zerogate/core/engine";
import type { Operations } from "./addon.ts";

/** TypeScript knows WebAssembly only with the browser's types; this is what is used of it. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: unknown };
};

type Kernel = (...args: readonly number[]) => number;

/** native/wasm/exports.cc and heap.cc. Addresses and sizes come back as int32. */
interface WasmKernels extends Readonly<Record<Exclude<keyof Operations, FlatName | "cachedAttention">, Kernel>> {
  /** Growing detaches the buffer: make a view after the last allocation, and do not keep it. */
  readonly memory: { readonly buffer: ArrayBuffer };
  allocate(bytes: number): number;
  release(address: number): void;
  held(): number;
  /** Address of the words of a flat operation's struct, which `run` reads. */
  arguments(): number;
  run(place: number): number;
  operationCount(): number;
  /** Addresses of C strings. */
  operationName(place: number): number;
  operationFields(place: number): number;
}

/** Bytes that the memory can have: 4 GiB less one page (scripts/wasm.mjs). */
const LIMIT = 2 ** 32 - 2 ** 16;

interface Stored {
  readonly address: number;
  readonly length: number;
}

export interface WasmMemory {
  readonly kernels: WasmKernels;
  /** The binary's own table of flat operations, in the order in which `run` counts them; a test compares it with core's. */
  readonly operations: readonly (readonly [name: string, fields: string])[];
  /** Address of new memory. Throws an `InputError` if it would pass the limit, before anything is allocated. */
  allocate(bytes: number): number;
  /** Copies the bytes of a weight to stay; their address. */
  place(bytes: Uint8Array): number;
  /** Bytes of the weight placed at an address. */
  placed(address: number): number | undefined;
  take(length: number): number;
  release(handle: number): void;
  /** The live array behind a handle. */
  find(handle: number): Stored | undefined;
  /** Bytes of arrays, now and at most. */
  bytes(): [bytes: number, peakBytes: number];
}

let compiled: object | undefined;

/** A new instance of the module, compiled once per thread. */
export function openMemory(): WasmMemory {
  compiled ??= new WebAssembly.Module(readFileSync(new URL("../wasm/kernels.wasm", import.meta.url)));
  const { exports } = new WebAssembly.Instance(compiled, { Math: { log: Math.log } });
  const kernels = exports as WasmKernels;
  const arrays = new Map<number, Stored>();
  const weights = new Map<number, number>();
  let [lastHandle, bytes, peakBytes] = [0, 0, 0];

  function allocate(wanted: number): number {
    const planned = (kernels.held() >>> 0) + wanted;
    if (planned > LIMIT) {
      throw new InputError(
        "Cannot run this on the wasm engine",
        `${planned} bytes are planned, its memory ends at ${LIMIT}: the native engine, a smaller model or smaller cells are needed`,
      );
    }
    const address = kernels.allocate(wanted) >>> 0;
    if (address === 0) throw new RangeError(`Cannot allocate ${wanted} bytes: they are more than the system gives`);
    return address;
  }

  const textAt = (address: number) => {
    const text = new Uint8Array(kernels.memory.buffer, address);
    return new TextDecoder().decode(text.subarray(0, text.indexOf(0)));
  };
  const operations = Array.from({ length: kernels.operationCount() }, (_, place) => {
    return [textAt(kernels.operationName(place)), textAt(kernels.operationFields(place))] as const;
  });

  return {
    kernels,
    operations,
    allocate,
    place(source) {
      const address = allocate(source.byteLength);
      new Uint8Array(kernels.memory.buffer, address, source.byteLength).set(source);
      weights.set(address, source.byteLength);
      return address;
    },
    placed: (address) => weights.get(address),
    take(length) {
      if (!Number.isSafeInteger(length) || length < 0) {
        throw new RangeError(`Cannot take an array: length is ${length}, a whole number of 0 or more is needed`);
      }
      arrays.set(++lastHandle, { address: allocate(4 * length), length });
      bytes += 4 * length;
      peakBytes = Math.max(peakBytes, bytes);
      return lastHandle;
    },
    release(handle) {
      const array = arrays.get(handle);
      if (!array) throw new RangeError("Cannot free an array: it is free already");
      arrays.delete(handle);
      kernels.release(array.address);
      bytes -= 4 * array.length;
    },
    find: (handle) => arrays.get(handle),
    bytes: () => [bytes, peakBytes],
  };
}
