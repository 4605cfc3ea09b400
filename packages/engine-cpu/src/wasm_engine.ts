/** Core's Engine over the kernels in WebAssembly, if there is neither a binary for this machine nor a compiler. */
import { cancellable, type HostTensor, type Matrix } from "@zerogate/core/engine";
import type { NativeEngine } from "./addon.ts";
import { type CpuEngine, type CpuEngineOptions, engineOver, matrix } from "./engine.ts";
import type { WeightFields } from "./wasm_arguments.ts";
import { openMemory } from "./wasm_memory.ts";
import { wasmOperations } from "./wasm_operations.ts";

interface WasmMatrix extends Matrix {
  readonly weight: WeightFields;
}

/**
 * Opens an engine of one thread. `matrix` copies the weight, in its dtype, into the engine's own memory, which has 4 GiB
 * less one page for weights and arrays together: what would pass that is refused before it is allocated, as an `InputError`
 * with the numbers. The memory is given back when the engine is collected.
 */
export function createWasmEngine({ storage, cancel }: Pick<CpuEngineOptions, "storage" | "cancel"> = {}): CpuEngine {
  const memory = openMemory();
  const backend = {
    ...wasmOperations(memory),
    take: (_engine: NativeEngine, length: number) => memory.take(length),
    release: (_engine: NativeEngine, handle: number) => memory.release(handle),
    endArena() {}, // a free block is joined with its neighbours at once, and memory cannot be given back
    memory: () => memory.bytes(),
    write(_engine: NativeEngine, values: Float32Array, handle: number) {
      floatsOf(handle, "upload").set(values);
    },
    read(_engine: NativeEngine, out: Float32Array, handle: number) {
      out.set(floatsOf(handle, "read"));
    },
  };
  function floatsOf(handle: number, attempt: string): Float32Array {
    const array = memory.find(handle);
    if (!array) throw new RangeError(`Cannot ${attempt}: array is free already`);
    return new Float32Array(memory.kernels.memory.buffer, array.address, array.length);
  }
  function place(tensor: HostTensor): WasmMatrix {
    const { rows, columns, weight } = matrix(tensor);
    const [, dtype = 0] = weight;
    return { rows, columns, weight: [memory.place(tensor.bytes), dtype, rows, columns] };
  }
  // The backend has one engine, so its operations need no handle of it.
  const engine = { ...engineOver(backend, {} as NativeEngine, "wasm/simd128/f32", storage), matrix: place };
  return cancel ? cancellable(engine, cancel) : engine;
}
