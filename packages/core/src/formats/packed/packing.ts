/** Linear maps that a tool packed into fewer bits: a tensor of codes, and beside it what they are multiplied with. */
import type { DType } from "../../engine/engine.ts";
import { storedDTypes, widen } from "../dtype.ts";
import type { TensorDType } from "../safetensors.ts";
import type { TensorDecoder } from "../tensor_decoder.ts";

/** A tensor of a packed map. Its bytes are read when they are needed. */
export interface PackedTensor {
  readonly dtype: TensorDType;
  readonly shape: readonly number[];
  read(): Promise<Uint8Array>;
}

/** The tensors of a map: `codes`, and others by their names behind its path. */
export interface PackedMap {
  readonly codes: PackedTensor;
  side(name: string): PackedTensor | undefined;
}

/** What a packed map stands for: `[out, in]` numbers, in the dtype that the tool itself unpacks it to. */
export interface UnpackedMap {
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly decoder: TensorDecoder;
}

/** A way of packing. */
export interface Packing {
  /** Of the tool, for messages. */
  readonly name: string;
  /** Name of the tensor of codes behind the path of its map. */
  readonly codes: string;
  /** A tensor that every packed map has beside its codes, and no plain one. */
  readonly mark: string;
  /** All that may stand beside the codes and belongs to them. */
  readonly sides: readonly string[];
  /** Reads what describes the map. Throws a `PackingError` for one that is not as the tool makes them. */
  unpack(map: PackedMap): Promise<UnpackedMap>;
}

/** Says what is wrong with a packed map. */
export class PackingError extends Error {}

/** The tensor beside the codes, which has to be there. */
export function required(map: PackedMap, name: string): PackedTensor {
  const tensor = map.side(name);
  if (tensor === undefined) throw new PackingError(`${name} is missing`);
  return tensor;
}

/** Refuses a tensor that has not this dtype and shape. */
export function expectTensor(
  name: string,
  { dtype, shape }: PackedTensor,
  dtypes: readonly TensorDType[],
  expected: readonly number[],
): void {
  if (dtypes.includes(dtype) && String(shape) === String(expected)) return;
  const needed = `${dtypes.join(" or ")} [${expected.join(", ")}]`;
  throw new PackingError(`${name} is ${dtype} [${shape.join(", ")}], needed is ${needed}`);
}

export const floatDTypes: readonly TensorDType[] = ["F16", "BF16", "F32"];

/** The dtype of a tensor of scales, in which tools compute. */
export function scaleDType({ dtype }: PackedTensor): DType {
  const found = storedDTypes.get(dtype);
  if (found === undefined || found === "f64")
    throw new PackingError(`its scales are ${dtype}, needed is F16, BF16 or F32`);
  return found;
}

/** The numbers of a tensor of floats. */
export async function floatsOf(tensor: PackedTensor): Promise<Float32Array> {
  const numbers = new Float32Array(tensor.shape.reduce((a, b) => a * b, 1));
  widen(scaleDType(tensor), await tensor.read(), numbers);
  return numbers;
}

/** The numbers of a tensor of 32-bit or 64-bit integers. */
export async function integersOf(tensor: PackedTensor): Promise<Int32Array> {
  const bytes = (await tensor.read()).slice();
  return tensor.dtype === "I64"
    ? Int32Array.from(new BigInt64Array(bytes.buffer), (value) => Number(BigInt.asIntN(32, value)))
    : new Int32Array(bytes.buffer);
}
