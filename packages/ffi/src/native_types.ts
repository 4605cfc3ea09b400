/** How JavaScript values stand for C values, and the checks that koffi leaves out (it takes 1.5 and -1 as a uint64). */

/** Numbers that a call passes or returns. `size` is C's size_t; 64-bit numbers are always bigint. */
type NativeNumber = "int32" | "uint32" | "int64" | "uint64" | "size" | "float32" | "float64";
/**
 * `pointer`: the memory of a view (also over a SharedArrayBuffer), an address, or null; results are addresses. The view is not
 * kept alive after the call. `string`: a zero-terminated UTF-8 string, copied.
 */
export type NativeType = NativeNumber | "pointer" | "string";

/** The C types of a function. */
export interface Signature {
  readonly result: NativeType | "void";
  readonly parameters: readonly NativeType[];
}

/** An address in this process. */
export type Address = bigint;

/** What a caller passes for a C type. */
type Argument<T extends NativeType> = T extends "pointer"
  ? ArrayBufferView | Address | null
  : T extends "string"
    ? string | null
    : T extends "int64" | "uint64" | "size"
      ? bigint
      : number;

/** What a call returns for a C type. */
type Result<T extends NativeType | "void"> = T extends "pointer"
  ? Address
  : T extends "string"
    ? string | null
    : T extends "int64" | "uint64" | "size"
      ? bigint
      : T extends "void"
        ? undefined
        : number;

type Arguments<P extends readonly NativeType[]> = { readonly [I in keyof P]: Argument<P[I]> };

/** A C function as JavaScript calls it. */
export type NativeFunction<S extends Signature> = (...values: Arguments<S["parameters"]>) => Result<S["result"]>;

/** koffi's names. */
export const koffiNames: Record<NativeType | "void", string> = {
  int32: "int32_t",
  uint32: "uint32_t",
  int64: "int64_t",
  uint64: "uint64_t",
  size: "size_t",
  float32: "float",
  float64: "double",
  pointer: "void *",
  string: "str",
  void: "void",
};

const inRange: Record<NativeType, (value: unknown) => boolean> = {
  int32: (value) => Number.isInteger(value) && Number(value) >= -(2 ** 31) && Number(value) < 2 ** 31,
  uint32: (value) => Number.isInteger(value) && Number(value) >= 0 && Number(value) < 2 ** 32,
  int64: (value) => typeof value === "bigint" && BigInt.asIntN(64, value) === value,
  uint64: isUnsigned64,
  size: isUnsigned64,
  float32: (value) => typeof value === "number",
  float64: (value) => typeof value === "number",
  pointer: (value) => value === null || ArrayBuffer.isView(value) || isUnsigned64(value),
  string: (value) => value === null || (typeof value === "string" && !value.includes("\0")),
};

const wanted: Record<NativeType, string> = {
  int32: "a whole number of 32 bits",
  uint32: "a whole number from 0 of 32 bits",
  int64: "a bigint of 64 bits",
  uint64: "a bigint from 0 of 64 bits",
  size: "a bigint from 0 of 64 bits",
  float32: "a number",
  float64: "a number",
  pointer: "a view of memory, an address as a bigint, or null",
  string: "a string without zero bytes, or null",
};

function isUnsigned64(value: unknown): boolean {
  return typeof value === "bigint" && BigInt.asUintN(64, value) === value;
}

/** @throws TypeError naming the function, the argument and what would be right: a wrong call must never reach C. */
export function checkArguments(name: string, parameters: readonly NativeType[], values: readonly unknown[]): void {
  if (values.length !== parameters.length) {
    throw new TypeError(`Cannot call ${name}: it has ${parameters.length} parameters, got ${values.length} arguments`);
  }
  for (const [i, type] of parameters.entries()) {
    const value = values[i];
    if (!inRange[type](value)) {
      throw new TypeError(`Cannot call ${name}: argument ${i + 1} is ${shown(value)}, ${wanted[type]} is needed`);
    }
  }
}

function shown(value: unknown): string {
  if (value instanceof ArrayBuffer || value instanceof SharedArrayBuffer) return `a bare ${value.constructor.name}`;
  if (typeof value === "number" || typeof value === "string") return `${typeof value} ${value}`;
  return typeof value === "bigint" ? `${value}n` : typeof value;
}
