/** Arguments of one operation, checked as they are read, as native/node/args.cc does for the binary. */
import { isScaled, tensorBytes } from "@zerogate/core/engine";
import type { Operations } from "./addon.ts";
import { weightDtypes } from "./engine.ts";
import type { WasmMemory } from "./wasm_memory.ts";

/** As the kernels take it. */
export type WeightFields = readonly [address: number, dtype: number, rows: number, columns: number];
export type HeadFields = readonly [T: number, H: number, G: number, d: number, window: number, cap: number];
type HostArray = Int32Array | Float32Array | Float64Array;

export interface Arguments {
  /** A whole number that fits the kernels' 32 bits. */
  size(name: string, least: number): number;
  number(name: string): number;
  /** A soft cap, 0 if there is none. */
  cap(): number;
  flag(): number;
  /** A whole number below `count`. */
  choice(name: string, count: number): number;
  /** The window is 0 or more, for attention without a mask also -1 (kernels.h). */
  heads(leastWindow?: 0 | -1): HeadFields;
  /** Address of an engine array of exactly `length` numbers. */
  array(name: string, length: number): number;
  /** 0 if the argument is absent. */
  arrayOrNull(name: string, length: number): number;
  /** The same for a handle that came in a Float64Array. */
  arrayOf(name: string, handle: unknown, length: number): number;
  weight(name: string): WeightFields;
  /** A weight of exactly `length` numbers, which is the size `letter`. */
  vector(name: string, letter: string, length: number): WeightFields;
  /** Row numbers from `least` on and below `limit`. */
  rows(name: string, least: number, limit: number, length?: number): Int32Array;
  /** A weight which may be int8, and the address of its scales, 0 if it has none; or in blocks of four bits. */
  linearMap(name: string): readonly [...WeightFields, scales: number];
  /** The address is 0 if the argument is absent. */
  weightOrNull(name: string): WeightFields;
  ints(name: string, length?: number): Int32Array;
  floats(name: string, length: number): Float32Array;
  doubles(name: string, length: number): Float64Array;
  /** Address of a copy that lives until `end`. */
  copy(values: Int32Array | Float32Array): number;
  end(): void;
}

export type Operation = Operations[keyof Operations];
/** Makes an operation of what reads its arguments and runs its kernel, which returns 0 if memory ran out. */
export type Define = (name: string, run: (args: Arguments) => number) => Operation;

const NO_WEIGHT: WeightFields = [0, 0, 1, 1];

/** Throws every problem as a RangeError or TypeError `Cannot <attempt>: …`. */
export function readArguments(attempt: string, memory: WasmMemory, values: readonly unknown[]): Arguments {
  const list = readValues(attempt, values);
  const { next, skip, wrong, number, cap, size, typed } = list;
  const { weight, linearMap } = readWeights(attempt, memory, list);
  const copies: number[] = [];

  function arrayOf(name: string, handle: unknown, length: number): number {
    if (typeof handle !== "number" || !(handle >= 0)) {
      throw new TypeError(`Cannot ${attempt}: ${name} is not an array of this engine`);
    }
    const found = memory.find(handle);
    if (!found) throw wrong(`${name} is free already`);
    if (found.length !== length) throw wrong(`${name} has ${found.length} numbers, ${length} are needed`);
    return found.address;
  }
  return {
    size,
    number,
    arrayOf,
    weight,
    linearMap,
    vector(name, letter, length) {
      const found = weight(name);
      const numbers = found[2] * found[3];
      if (numbers !== length) throw wrong(`${name} has ${numbers} numbers, ${letter} is ${length}`);
      return found;
    },
    rows(name, least, limit, length) {
      const rows = typed(Int32Array, name, length);
      const bad = rows.find((row) => row < least || row >= limit);
      if (bad !== undefined) throw wrong(`row ${bad} is named, there are ${limit}`);
      return rows;
    },
    cap,
    flag: () => Number(next() === true),
    choice(name, count) {
      const found = size(name, 0);
      if (found >= count) throw wrong(`${name} is ${found}, 0 to ${count - 1} are known`);
      return found;
    },
    heads(leastWindow = 0) {
      const [T, H, G] = [size("T", 0), size("H", 1), size("G", 1)];
      const [d, window] = [size("d", 1), size("window", leastWindow)];
      if (H % G !== 0) throw wrong(`${H} query heads do not share ${G} key heads evenly`);
      return [T, H, G, d, window, cap()];
    },
    array: (name, length) => arrayOf(name, next(), length),
    arrayOrNull(name, length) {
      const handle = next();
      return handle === undefined ? 0 : arrayOf(name, handle, length);
    },
    weightOrNull(name) {
      return skip(NO_WEIGHT.length) ? NO_WEIGHT : weight(name);
    },
    ints: (name, length) => typed(Int32Array, name, length),
    floats: (name, length) => typed(Float32Array, name, length),
    doubles: (name, length) => typed(Float64Array, name, length),
    copy(source) {
      const address = memory.allocate(source.byteLength);
      copies.push(address);
      const bytes = new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
      new Uint8Array(memory.kernels.memory.buffer, address, source.byteLength).set(bytes);
      return address;
    },
    end() {
      for (const address of copies) memory.kernels.release(address);
    },
  };
}

/** Reads weights of the engine, each of four values. */
function readWeights(
  attempt: string,
  memory: WasmMemory,
  { next, wrong, size }: ReturnType<typeof readValues>,
): Pick<Arguments, "weight" | "linearMap"> {
  function weight(name: string): WeightFields {
    const [address, code, rows, columns] = linearMap(name);
    const dtype = weightDtypes[code];
    if (dtype === undefined || isScaled(dtype)) throw wrong(`${name} has a dtype that this operation does not take`);
    return [address, code, rows, columns];
  }
  function linearMap(name: string): readonly [...WeightFields, scales: number] {
    const address = next();
    const bytes = typeof address === "number" ? memory.placed(address) : undefined;
    if (bytes === undefined) throw new TypeError(`Cannot ${attempt}: ${name} is not a weight of this engine`);
    const [code, rows, columns] = [size("dtype", 0), size("rows", 1), size("columns", 1)];
    const dtype = weightDtypes[code];
    if (dtype === undefined) throw wrong(`${name} has a dtype that this operation does not take`);
    const needed = tensorBytes(dtype, [rows, columns]);
    if (bytes !== needed) throw wrong(`${name} has ${bytes} bytes, ${needed} are needed`);
    const begin = address as number;
    return dtype === "i8" ? [begin + 4 * rows, code, rows, columns, begin] : [begin, code, rows, columns, 0];
  }
  return { weight, linearMap };
}

/** Reads the values one after the other: what does not depend on memory. */
function readValues(attempt: string, values: readonly unknown[]) {
  let at = 0;
  const next = () => values[at++];
  const wrong = (message: string) => new RangeError(`Cannot ${attempt}: ${message}`);
  function number(name: string): number {
    const value = next();
    if (typeof value !== "number") throw new TypeError(`Cannot ${attempt}: ${name} is not a number`);
    return value;
  }
  return {
    next,
    /** Skips the fields of an argument that is absent; false if it is there. */
    skip(fields: number): boolean {
      if (values[at] !== undefined) return false;
      at += fields;
      return true;
    },
    wrong,
    number,
    cap(): number {
      const cap = number("cap");
      if (!(cap >= 0)) throw wrong(`cap is ${cap}, 0 or more is needed`);
      return cap;
    },
    size(name: string, least: number): number {
      const value = number(name);
      if (!Number.isInteger(value) || value < least || value >= 2 ** 31) {
        throw wrong(`${name} is ${value}, a whole number of ${least} or more, below 2³¹, is needed`);
      }
      return value;
    },
    typed<A extends HostArray>(kind: new (length: number) => A, name: string, length?: number): A {
      const value = next();
      if (!(value instanceof kind)) throw new TypeError(`Cannot ${attempt}: ${name} is not a ${kind.name}`);
      if (length !== undefined && value.length !== length) {
        throw wrong(`${name} has ${value.length} numbers, ${length} are needed`);
      }
      return value;
    },
  };
}

/** Offsets 0 … T of sequences. */
export function offsets(args: Arguments, name: string, T: number): Int32Array {
  const cu = args.ints("cuSeqlens");
  const ascends = cu.every((offset, s) => s === 0 || offset >= (cu[s - 1] ?? 0));
  if (cu[0] !== 0 || cu.at(-1) !== T || !ascends) {
    throw new RangeError(`Cannot run ${name}: cuSeqlens must ascend from 0 to T=${T}`);
  }
  return cu;
}
