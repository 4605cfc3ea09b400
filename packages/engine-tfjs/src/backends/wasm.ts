/** XNNPACK and TensorFlow.js's own kernels in WebAssembly, one thread. */
import { InputError } from "@zerogate/core";
import { importTensorflow } from "../packages.ts";
import { type WasmRoom, wasmProducts } from "../products.ts";
import type { Backend } from "../tf.ts";
import { start } from "./start.ts";

/**
 * Bytes that we let it take of its 4 GiB. Where `malloc` returns 0 the backend goes on: tensors that live at address 0 change
 * each other. The kernels' own small allocations need the rest.
 */
export const WASM_LIMIT: number = 2 ** 32 - 2 ** 26;

interface WasmHeap {
  _malloc(bytes: number): number;
  _free(address: number): void;
}

export async function openWasm(): Promise<Backend> {
  const tf = await importTensorflow("wasm");
  const { wasm } = (await start(tf, "wasm", "wasm")) as { readonly wasm: WasmHeap };
  const room = guarded(wasm);
  const nothing = () => {};
  return {
    tf,
    id: "wasm",
    version: tf.version_core,
    products: wasmProducts(tf, room),
    ensure: room.ensure,
    endArena: nothing,
    checkDevice: nothing,
  };
}

/** Makes every allocation of a tensor fail aloud instead of in silence. */
function guarded(heap: WasmHeap): WasmRoom {
  const { _malloc: allocateFirst, _free: releaseFirst } = heap;
  releaseFirst(allocateFirst(8)); // each is a stub that overwrites itself in the heap, a guard included, when first called
  const { _malloc: allocate, _free: release } = heap;
  const sizes = new Map<number, number>();
  let held = 0;

  function take(bytes: number): number {
    const planned = held + bytes;
    const address = planned > WASM_LIMIT ? 0 : allocate(bytes);
    if (address !== 0 || bytes === 0) return address;
    throw new InputError(
      "Cannot run this on the engine tfjs:wasm",
      `${planned} bytes are planned, its memory ends at ${WASM_LIMIT}: another engine, a smaller model or smaller cells are needed`,
    );
  }

  Object.assign(heap, {
    _malloc(bytes: number) {
      const address = take(bytes);
      sizes.set(address >>> 0, bytes);
      held += bytes;
      return address;
    },
    _free(address: number) {
      held -= sizes.get(address >>> 0) ?? 0;
      sizes.delete(address >>> 0);
      release(address);
    },
  } satisfies WasmHeap);
  return {
    ensure: (bytes) => release(take(bytes)), // what can be allocated and released now, a kernel can allocate next
    keep(bytes) {
      held += bytes;
    },
  };
}
