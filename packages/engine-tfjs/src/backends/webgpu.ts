/** WebGPU through Dawn, which npm's `webgpu` brings to Node: Vulkan, Metal or Direct3D 12. */
import { InputError } from "@zerogate/core";
import { importPackage, requirePackages } from "../packages.ts";
import { plainProducts } from "../products.ts";
import type { Backend, Tf } from "../tf.ts";
import { start } from "./start.ts";

interface Dawn {
  create(options: readonly string[]): Gpu;
  readonly globals: object;
}

interface Gpu {
  requestAdapter(options?: object): Promise<Adapter | null>;
}

interface Adapter {
  readonly info: { readonly vendor: string; readonly description: string; readonly device: string };
}

interface WebgpuBackend {
  readonly device: {
    readonly limits: { readonly maxStorageBufferBindingSize: number; readonly maxBufferSize: number };
    readonly lost: Promise<{ readonly message: string }>;
    onuncapturederror: ((event: { readonly error: { readonly message: string } }) => void) | null;
  };
  readonly bufferManager: BufferManager;
  ensureCommandEncoderReady(): void;
  endComputePassEncoder(): void;
  submitQueue(): void;
}

interface BufferManager {
  readonly freeBuffers: Map<string, { destroy(): void; readonly size: number }[]>;
  numFreeBuffers: number;
  numBytesAllocated: number;
  acquireBuffer(size: number, ...rest: readonly unknown[]): unknown;
}

export async function openWebgpu(): Promise<Backend> {
  const [dawnPath = "", corePath = "", backendPath = ""] = requirePackages("webgpu");
  const adapter = await openAdapter((await importPackage("webgpu", dawnPath)) as Dawn);
  const tf = (await importPackage("webgpu", corePath)) as Tf;
  await importPackage("webgpu", backendPath); // registers itself if the globals are there
  tf.env().set("WEBGPU_CPU_FORWARD", false); // small arrays would be computed by another backend, with other bits
  const backend = (await start(tf, "webgpu", "webgpu")) as WebgpuBackend;
  const { device, bufferManager } = backend;
  const limit = Math.min(device.limits.maxStorageBufferBindingSize, device.limits.maxBufferSize);
  let failure: string | undefined;
  device.onuncapturederror = ({ error }) => {
    failure ??= error.message;
  };
  void device.lost.then(({ message }) => (failure ??= `the device was lost: ${message}`));

  function ensure(bytes: number): void {
    if (bytes <= limit) return;
    throw new InputError(
      "Cannot run this on the engine tfjs:webgpu",
      `one array needs ${bytes} bytes, this device binds at most ${limit}: smaller cells, a smaller model or another engine are needed`,
    );
  }
  guard(bufferManager, ensure);
  return {
    tf,
    id: "webgpu",
    version: `${tf.version_core}/${adapter.info.description || adapter.info.device}`,
    products: plainProducts(tf),
    ensure,
    endArena() {
      backend.ensureCommandEncoderReady();
      backend.endComputePassEncoder();
      backend.submitQueue(); // what is recorded may use the buffers
      for (const buffers of bufferManager.freeBuffers.values()) {
        for (const buffer of buffers) {
          bufferManager.numBytesAllocated -= buffer.size;
          buffer.destroy();
        }
      }
      bufferManager.freeBuffers.clear();
      bufferManager.numFreeBuffers = 0;
    },
    checkDevice() {
      if (failure !== undefined) throw new Error(`Cannot trust the results of ${adapter.info.description}: ${failure}`);
    },
  };
}

/** Puts WebGPU where the backend looks for it: into the globals of a browser. */
async function openAdapter({ create, globals }: Dawn): Promise<Adapter> {
  Object.assign(globalThis, globals);
  const gpu = create([]);
  const browser = globalThis as { readonly navigator?: object };
  if (browser.navigator) Object.defineProperty(browser.navigator, "gpu", { value: gpu, configurable: true });
  else Object.defineProperty(globalThis, "navigator", { value: { gpu, userAgent: "Node" }, configurable: true });
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (adapter) return adapter;
  throw new InputError(
    "Cannot use the engine tfjs:webgpu",
    "there is no device: a GPU with a driver for Vulkan, Metal or Direct3D 12 is needed (Mesa 25 also has a slow one in software)",
  );
}

function guard(manager: BufferManager, ensure: (bytes: number) => void): void {
  const { acquireBuffer } = manager;
  manager.acquireBuffer = (size, ...rest) => {
    ensure(size);
    return acquireBuffer.call(manager, size, ...rest);
  };
}
