/**
 * Which algorithm of cuBLASLt multiplies: timed once for each kind of product, written down, the same from then on. Who
 * writes first decides for all workers, and so for the bits of a run; the file is named by GPU and library version.
 */
import { createHash } from "node:crypto";
import { linkSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readRegularFileSync, temporarySibling } from "@zerogate/core/node";
import { CudaError } from "./cuda_error.ts";
import type { Gpu } from "./gpu.ts";
import { ALGORITHM_BYTES, type CublasLt } from "./native/cublaslt.ts";
import { CU } from "./native/numbers.ts";
import type { Product } from "./product.ts";

export interface ProductKey extends Product {
  readonly alignment: number;
  readonly hasResidual: boolean;
}

/**
 * @param propose algorithms to try, the library's best first.
 * @param run the product with one of them; results may be overwritten.
 */
export type Chooser = (
  key: ProductKey,
  propose: () => Uint8Array[],
  run: (algorithm: Uint8Array) => void,
) => Uint8Array;

/** Each algorithm runs as often in a row, in every round; rounds go over all of them, so that a clock that moves hits all. */
const [TRIES, ROUNDS] = [2, 5];
/** The library's first proposal stays unless another takes this share of its time or less. */
const CLEARLY_FASTER = 0.98;

/** Row counts differ from cell to cell: those of one class share a choice. Small ones by powers of two, then by 256. */
function rowClass(T: number): number {
  return T > 256 ? Math.ceil(T / 256) * 256 : 2 ** Math.ceil(Math.log2(T));
}

export function algorithmChooser(gpu: Gpu, { version }: CublasLt, folder: string): Chooser {
  const machine = createHash("sha256")
    .update(JSON.stringify([gpu.name, gpu.architecture, gpu.multiprocessors, version]))
    .digest("hex")
    .slice(0, 16);
  const known = new Map<string, Uint8Array>();
  return ({ T, N, K, transposed, input, output, alignment, hasResidual }, propose, run) => {
    const kind = `${transposed ? "forward" : "backward"}-${input}-${output}${hasResidual ? "-residual" : ""}`;
    const name = `${rowClass(T)}x${N}x${K}-${kind}-${alignment}`;
    let algorithm = known.get(name);
    if (!algorithm) {
      const path = join(folder, `products-${machine}`, name);
      algorithm = read(path) ?? decide(path, fastest(gpu, propose(), run));
      known.set(name, algorithm);
    }
    return algorithm;
  };
}

/** An algorithm that the library proposes and then refuses is left out; if it refuses all, its first proposal is for the caller to try. */
function fastest(gpu: Gpu, algorithms: readonly Uint8Array[], run: (algorithm: Uint8Array) => void): Uint8Array {
  const first = algorithms[0] as Uint8Array;
  const able = algorithms.filter((algorithm) => isAble(algorithm, run)); // the first time is not like the others
  if (able.length < 2) return able[0] ?? first;
  const [begin, end] = [newEvent(gpu), newEvent(gpu)];
  const times: number[][] = able.map(() => []);
  for (let round = 0; round < ROUNDS; round++) {
    for (const i of able.keys()) {
      const turn = (i + round) % able.length;
      gpu.call("time a product", "cuEventRecord", begin, gpu.stream);
      for (let n = 0; n < TRIES; n++) run(able[turn] as Uint8Array);
      gpu.call("time a product", "cuEventRecord", end, gpu.stream);
      gpu.call("time a product", "cuEventSynchronize", end);
      const ms = new Float32Array(16);
      gpu.call("time a product", "cuEventElapsedTime", ms, begin, end);
      times[turn]?.push(ms[0] ?? 0);
    }
  }
  for (const event of [begin, end]) gpu.call("free an event", "cuEventDestroy_v2", event);
  return able[bestOf(times)] as Uint8Array;
}

/** Whether an algorithm runs. A lost context is not its fault: that is thrown. */
function isAble(algorithm: Uint8Array, run: (algorithm: Uint8Array) => void): boolean {
  try {
    run(algorithm);
    return true;
  } catch (error) {
    if (error instanceof CudaError) return false;
    throw error;
  }
}

/** Returns which has the least median, the first one unless another is clearly faster. */
export function bestOf(times: readonly (readonly number[])[]): number {
  const medians = times.map((own) => own.toSorted((a, b) => a - b)[own.length >> 1] ?? Number.POSITIVE_INFINITY);
  const best = medians.indexOf(Math.min(...medians));
  return (medians[best] ?? 0) <= CLEARLY_FASTER * (medians[0] ?? 0) ? best : 0;
}

function newEvent(gpu: Gpu): bigint {
  const out = new BigUint64Array(8);
  gpu.call("make an event", "cuEventCreate", out, CU.EVENT_BLOCKING_SYNC);
  return out[0] ?? 0n;
}

/** A choice is the algorithm's bytes and their hash. */
function read(path: string): Uint8Array | undefined {
  try {
    const bytes = readRegularFileSync(path);
    const algorithm = Uint8Array.from(bytes.subarray(0, ALGORITHM_BYTES));
    return hashOf(algorithm).equals(bytes.subarray(ALGORITHM_BYTES)) ? algorithm : undefined;
  } catch {
    return undefined;
  }
}

/** Writes it down unless somebody was faster; then theirs holds. */
function decide(path: string, algorithm: Uint8Array): Uint8Array {
  const temporary = temporarySibling(path);
  try {
    mkdirSync(join(path, ".."), { recursive: true });
    writeFileSync(temporary, Buffer.concat([algorithm, hashOf(algorithm)]), { flag: "wx" });
    linkSync(temporary, path);
    return algorithm;
  } catch {
    return read(path) ?? algorithm; // or nothing can be written: the choice holds for this engine
  } finally {
    rmSync(temporary, { force: true });
  }
}

const hashOf = (bytes: Uint8Array): Buffer => createHash("sha256").update(bytes).digest();
