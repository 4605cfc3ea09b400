/** What the operations of one engine share: its GPU, kernels, products, memory, and arrays with the type of their numbers. */
import { type Arena, createArena, type DeviceArray } from "@zerogate/core/engine";
import { type Blocks, createBlocks } from "./blocks.ts";
import { createBrought } from "./brought.ts";
import { openCompiler } from "./compiler.ts";
import type { Block, Memory } from "./device_memory.ts";
import { createProducts, type Products } from "./gemm.ts";
import type { Gpu } from "./gpu.ts";
import { createGraphs, type Graphs } from "./graphs.ts";
import type { KernelFile } from "./kernel_sources.ts";
import { createKernels, type KernelArgument, type Launch } from "./kernels.ts";
import { type MemoryPlan, WORKSPACE_BYTES } from "./memory_plan.ts";
import { cacheFolder } from "./module_cache.ts";
import { type CublasLt, openCublasLt } from "./native/cublaslt.ts";
import type { NumberType, Product } from "./product.ts";
import { createStaging, type Staging } from "./staging.ts";

/** The residual stream and what the host gives or reads are f32; inner activations have the runtime's type. */
interface CudaArray extends DeviceArray {
  type: NumberType;
  block: Block | undefined;
  /** The same in inner numbers, which its kernel wrote beside it: until they have been taken once. */
  copy: Block | undefined;
}

export interface RuntimeOptions {
  readonly compute: NumberType;
  readonly tune: boolean;
  readonly debug: boolean;
  /** Repeated work becomes graphs; not with `debug`, which waits after each kernel. */
  readonly graphs: boolean;
  readonly plan: MemoryPlan | undefined;
}

export interface Runtime extends Pick<Arena<CudaArray>, "free" | "keep" | "arena"> {
  readonly gpu: Gpu;
  /** Type of inner activations and of the factors of products. */
  readonly inner: NumberType;
  /** What determines the bits in addition to our code. */
  readonly version: string;
  readonly staging: Staging;
  run(
    file: KernelFile,
    name: string,
    launch: Launch,
    args: readonly KernelArgument[],
    variant?: readonly string[],
  ): void;
  multiply: Products["run"];
  /** A new array, freed by the caller or the arena; its numbers are undefined. */
  array(length: number, type?: NumberType): CudaArray;
  /** Makes room for inner numbers of an array of float32, for its kernel to write too; undefined if all are float32. */
  copyOf(array: DeviceArray): bigint | undefined;
  /** Returns the address of an array. Throws a RangeError if it is free already. */
  at(array: DeviceArray): bigint;
  typeOf(array: DeviceArray): NumberType;
  /** Memory that outlives arenas, until `release`. */
  hold(bytes: number): Block;
  release(block: Block): void;
  /** Host data for the kernels that `work` enqueues; an arena brings the same small data once. */
  withData<T>(values: readonly ArrayBufferView[], work: (...addresses: bigint[]) => T): T;
  /** The array in another type: itself, or a copy for as long as `work` runs. */
  as<T>(
    type: NumberType,
    arrays: readonly (DeviceArray | undefined)[],
    work: (...addresses: (bigint | undefined)[]) => T,
  ): T;
  /** Changes an array itself to inner numbers. */
  makeInner(array: DeviceArray): bigint;
  /** Sets memory to zero bytes. */
  clear(at: bigint, bytes: number): void;
  repeated: Graphs["repeated"];
  aside: Graphs["aside"];
  convert(to: bigint, type: NumberType, from: bigint, fromType: NumberType, length: number): void;
  usage: Memory["usage"];
  close(): void;
}

export const bytesOf: Readonly<Record<NumberType, number>> = { f32: 4, bf16: 2 };

/** @throws InputError if NVRTC or cuBLASLt is not on this machine. */
export function createRuntime(
  gpu: Gpu,
  { compute: inner, tune, debug, graphs: withGraphs, plan }: RuntimeOptions,
): Runtime {
  const [newest] = gpu.driver.version;
  const compiler = openCompiler(gpu, newest);
  const cublasLt = openCublasLt(newest);
  const staging: Staging = createStaging(gpu, (to, bytes) => graphs.upload(to, bytes));
  const graphs = createGraphs(gpu, { uploadNow: staging.upload, afterwards: () => blocks.giveLate() });
  const { enqueue } = graphs;
  const kernels = createKernels(gpu, compiler, enqueue, {
    defines: [`ACT=${inner === "f32" ? "float" : "u16"}`],
    debug,
  });
  const blocks = createBlocks(gpu, graphs.isNoting, { debug, plan });
  const { block, give, usage } = blocks;
  const { take, ...lifetimes } = createArena<CudaArray>({
    take: (length) => ({ length, type: "f32", block: undefined, copy: undefined }),
    recycle(array) {
      // What is still queued runs before anything that gets the block next: there is one stream.
      for (const own of [array.block, array.copy]) if (own) give(own);
      array.block = array.copy = undefined;
    },
    endArena: () => brought.forget(),
  });
  const brought = createBrought(blocks, graphs.isNoting, staging);
  const products = openProducts(gpu, cublasLt, graphs, block(WORKSPACE_BYTES), tune);

  const run: Runtime["run"] = (...call) => kernels.run(...call);
  const conversions = createConversions(gpu, inner, blocks, enqueue, run);

  return {
    gpu,
    inner,
    version: `${gpu.name.replaceAll(/\s+/g, "-")}/cublaslt-${cublasLt.version}/nvrtc-${compiler.version}`,
    staging,
    run,
    multiply: (product: Product, operands) => products.run(product, operands),
    ...lifetimes,
    array(length, type = "f32") {
      const array = take(length);
      array.type = type;
      array.block = block(length * bytesOf[type]);
      return array;
    },
    copyOf(array) {
      if (inner === "f32") return undefined;
      const own = array as CudaArray;
      own.copy = block(own.length * bytesOf[inner]);
      return own.copy.address;
    },
    at,
    typeOf: (array) => (array as CudaArray).type,
    hold: blocks.hold,
    release: give,
    withData: brought.withData,
    ...conversions,
    clear(to, bytes) {
      enqueue(
        () => `clear ${to} ${bytes}`,
        () => gpu.call("clear memory", "cuMemsetD8Async", to, 0, BigInt(bytes), gpu.stream),
      );
    },
    repeated: (work) => (withGraphs && !debug ? graphs.repeated(work) : work()),
    aside: graphs.aside,
    usage,
    close() {
      try {
        gpu.synchronize("finish the work");
        graphs.close();
        staging.close();
        blocks.close();
      } finally {
        gpu.close(); // also of a lost context
      }
    },
  };
}

function openProducts(gpu: Gpu, cublasLt: CublasLt, graphs: Graphs, space: Block, tune: boolean): Products {
  return createProducts(gpu, cublasLt, graphs.enqueue, {
    choices: tune ? cacheFolder() : undefined,
    isCapturing: graphs.isCapturing,
    workspace: { address: space.address, bytes: WORKSPACE_BYTES },
  });
}

/** Changes of type: of numbers, of arrays for as long as some work runs, and of arrays themselves. */
function createConversions(
  gpu: Gpu,
  inner: NumberType,
  blocks: Blocks,
  enqueue: Graphs["enqueue"],
  run: Runtime["run"],
): Pick<Runtime, "convert" | "as" | "makeInner"> {
  const convert: Runtime["convert"] = (to, type, from, fromType, length) => {
    if (type === fromType) {
      const bytes = BigInt(length * bytesOf[type]);
      enqueue(
        () => `copy ${to} ${from} ${bytes}`,
        () => gpu.call("copy", "cuMemcpyDtoDAsync_v2", to, from, bytes, gpu.stream),
      );
      return;
    }
    const threads = type === "bf16" ? Math.ceil(length / WIDE) : length;
    run("rows", `to_${type}`, elementwise(threads), [to, from, BigInt(length)]);
  };
  return {
    convert,
    as(type, arrays, work) {
      const isOther = arrays.map(
        (array) => array !== undefined && array.length > 0 && (array as CudaArray).type !== type,
      );
      const copies = arrays.map((array, i) =>
        isOther[i] && type === inner ? takeCopy(array as CudaArray) : undefined,
      );
      const isMissing = (i: number) => isOther[i] && !copies[i];
      const sizes = arrays.flatMap((array, i) => (array && isMissing(i) ? [array.length * bytesOf[type]] : []));
      try {
        return blocks.lend(sizes, (lent) => {
          let next = 0;
          const addresses = arrays.map((array, i) => {
            if (!array || !isMissing(i)) return copies[i]?.address ?? (array && at(array));
            const to = lent[next++]?.address ?? 0n;
            convert(to, type, at(array), (array as CudaArray).type, array.length);
            return to;
          });
          return work(...addresses);
        });
      } finally {
        for (const own of copies) if (own) blocks.give(own);
      }
    },
    makeInner(array) {
      const own = array as CudaArray;
      if (own.type !== inner) {
        const changed = blocks.block(own.length * bytesOf[inner]);
        convert(changed.address, inner, at(own), own.type, own.length);
        if (own.block) blocks.give(own.block);
        own.block = changed;
        own.type = inner;
      }
      return at(own);
    },
  };
}

/** Takes the inner numbers that lie beside an array, which has them no longer. */
function takeCopy(array: CudaArray): Block | undefined {
  const { copy } = array;
  array.copy = undefined;
  return copy;
}

function at(array: DeviceArray): bigint {
  const { block } = array as CudaArray;
  if (!block) throw new RangeError("Cannot use an array: it is free already");
  return block.address;
}

/** Numbers that a thread of some kernels takes at once: WIDE of common.cuh. */
export const WIDE = 8;

/** One thread a number. */
export function elementwise(length: number): Launch {
  return { grid: [Math.ceil(length / 256)], block: 256 };
}
/** One block a row. */
export function rowwise(rows: number, columns: number): Launch {
  return { grid: [rows], block: Math.min(256, Math.ceil(columns / 32) * 32) };
}
