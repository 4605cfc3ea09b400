/** Finds and loads the native binary, and chooses the instruction set. */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { InputError } from "@zerogate/core";
import type { OperationName } from "@zerogate/core/engine";

/** Environment variable that forces a level, for example `avx2`: tests cover every level that the machine runs. */
const LEVEL_VARIABLE = "ZEROGATE_CPU_LEVEL";

/** One instruction set of the build. */
interface Level {
  readonly name: string;
  /** Whether this machine and its operating system run it. */
  readonly runs: boolean;
  /** Whether it has a bf16 dot product. */
  readonly bf16: boolean;
}

export type NativeEngine = { readonly native: unique symbol };
/** `undefined` if there is no weight; else four arguments in a row. */
export type WeightArguments = readonly [bytes: Uint8Array, dtype: number, rows: number, columns: number] | readonly [];
export type NativePacks = { readonly nativePacks: unique symbol };
export type HeadArguments = readonly [T: number, H: number, G: number, d: number, window: number, cap: number];

/** What the binary exports. Arrays are handles; native/node/operations.cc and ops_*.cc say what each operation takes. */
export interface Addon {
  levels(): Level[];
  /** Its own table of flat operations: their names and fields. A test compares it with core's. */
  operations(): [name: string, fields: string][];
  open(level: string, threads: number, bf16: boolean): NativeEngine;
  /** Operations throw once element 0 of `cancel`, over shared memory, is not 0; long ones end early. */
  watch(engine: NativeEngine, cancel: Int32Array): void;
  /** What `linear` and `linearBackward` keep the packed copies of that whole weight in, last of their arguments. */
  pack(engine: NativeEngine, ...weight: readonly unknown[]): NativePacks;
  /** Bytes of all packed copies of the process. */
  packedBytes(): number;
  take(engine: NativeEngine, length: number): number;
  release(engine: NativeEngine, array: number): void;
  endArena(engine: NativeEngine): void;
  /** Bytes held for arrays: now and at most. */
  memory(engine: NativeEngine): [bytes: number, peakBytes: number];
  write(engine: NativeEngine, values: Float32Array, array: number): void;
  read(engine: NativeEngine, out: Float32Array, array: number): void;
  /** Memory of the file, which must not be written to. Absent if files cannot be mapped. */
  mapFile?(path: string, offset: number, length: number): Uint8Array;
  addFixedPoint(engine: NativeEngine, sum: Int32Array, gradient: Float32Array, limit: number): number;
  steadyMemory(): boolean;
  /** Arguments: native/node/ops_wide.cc. */
  wideLinear(engine: NativeEngine, ...args: readonly (Float64Array | Float32Array | number)[]): void;
  wideLinearBackward(engine: NativeEngine, ...args: readonly (Float64Array | Float32Array | number)[]): void;
  /** Arguments: native/node/addon.cc. */
  adamW(engine: NativeEngine, ...args: readonly (Float32Array | number)[]): void;
  addSums(engine: NativeEngine, out: Int32Array, ...sums: readonly Int32Array[]): void;
  readSums(engine: NativeEngine, out: Float32Array, ...sums: readonly Int32Array[]): void;
  sumSquares(engine: NativeEngine, numbers: Float32Array): number;
  scale(engine: NativeEngine, numbers: Float32Array, factor: number): void;
}

/** Operations all have the same form, are checked by the binary, and return nothing. */
type Operation = (engine: NativeEngine, ...args: readonly unknown[]) => void;
/** What core has a fall-back for is not here; the last three are no operations of arrays. */
type Absent = "promptedAttention" | "promptedAttentionBackward" | "addFixedPoint" | "wideLinear" | "wideLinearBackward";
export type Operations = Readonly<Record<Exclude<OperationName, Absent>, Operation>>;

interface Loaded {
  readonly addon: Addon & Operations;
  readonly path: string;
}

/** What this machine can do; for people (`zerogate doctor`) and for choosing an engine. */
export interface CpuReport {
  readonly available: boolean;
  /** The level that `createEngine` would take. */
  readonly level: string | undefined;
  /** All levels that this machine runs, best first. */
  readonly levels: readonly string[];
  /** Levels of the build with a bf16 dot product that this machine runs. */
  readonly bf16Levels: readonly string[];
  /** Whether weights can stay in their files: `Engine.mapped`. */
  readonly mapsFiles: boolean;
  /** The binary in use. */
  readonly path: string | undefined;
  /** Why the engine is not available. */
  readonly reason: string | undefined;
}

let loaded: Loaded | Error | undefined;

/** The binary. Throws an Error that says where it was looked for. */
export function loadAddon(): Loaded {
  loaded ??= tryLoad();
  if (loaded instanceof Error) throw loaded;
  return loaded;
}

/** Never throws. */
export function probe(): CpuReport {
  try {
    const { addon, path } = loadAddon();
    const runs = addon.levels().filter((level) => level.runs);
    const levels = runs.map((level) => level.name);
    const bf16Levels = runs.filter((level) => level.bf16).map((level) => level.name);
    const mapsFiles = addon.mapFile !== undefined;
    return { available: true, level: chooseLevel(addon), levels, bf16Levels, mapsFiles, path, reason: undefined };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const nothing = { level: undefined, levels: [], bf16Levels: [], mapsFiles: false, path: undefined };
    return { available: false, ...nothing, reason };
  }
}

/** The level that ZEROGATE_CPU_LEVEL names, else the best that runs. Throws an `InputError` if the named one does not. */
export function chooseLevel(addon: Pick<Addon, "levels">): string {
  const names = addon.levels().flatMap((level) => (level.runs ? [level.name] : []));
  const forced = process.env[LEVEL_VARIABLE];
  const name = forced || names[0];
  if (name === undefined || !names.includes(name)) {
    throw new InputError(
      "Cannot open the CPU engine",
      `${LEVEL_VARIABLE} is "${forced}", this machine runs ${names.join(", ")}: name one of them or unset it`,
    );
  }
  return name;
}

function tryLoad(): Loaded | Error {
  const require = createRequire(import.meta.url);
  // Compiled on this machine, then shipped with the package.
  const places = ["build", `prebuilds/${process.platform}-${process.arch}`].map((folder) =>
    fileURLToPath(new URL(`../${folder}/zerogate_cpu.node`, import.meta.url)),
  );
  const problems: string[] = [];
  for (const path of places) {
    if (!existsSync(path)) continue;
    try {
      return { addon: require(path), path };
    } catch (error) {
      problems.push(error instanceof Error ? error.message : String(error));
    }
  }
  const found = problems.length > 0 ? problems.join("; ") : "there is no binary for this machine";
  return new Error(
    `Cannot load the CPU engine: ${found}, a C++ compiler and "npm rebuild @zerogate/engine-cpu" (in the repository: "npm run setup") make one`,
  );
}
