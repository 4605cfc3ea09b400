/** The values that a pickle of torch makes: plain data, and tensors that name their storage. */
import type { TensorDType } from "./safetensors.ts";

/** torch's names of what a file of tensors stores, and our dtypes. */
export const storageDTypes: ReadonlyMap<string, TensorDType> = new Map([
  ["torch.FloatStorage", "F32"],
  ["torch.HalfStorage", "F16"],
  ["torch.BFloat16Storage", "BF16"],
  ["torch.DoubleStorage", "F64"],
  ["torch.LongStorage", "I64"],
  ["torch.IntStorage", "I32"],
  ["torch.ShortStorage", "I16"],
  ["torch.CharStorage", "I8"],
  ["torch.ByteStorage", "U8"],
  ["torch.BoolStorage", "BOOL"],
]);

/** A run of numbers in the file's entry `data/<key>`. */
export interface TorchStorage {
  readonly kind: "storage";
  readonly dtype: TensorDType;
  readonly key: string;
  readonly elements: number;
}

/** A view of a storage; offset and strides count elements. Nothing of it is checked against the storage yet. */
export interface TorchTensor {
  readonly kind: "tensor";
  readonly storage: TorchStorage;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

/** A name that the pickle uses; calling it does what torch_pickle.ts says. */
interface Callable {
  readonly kind: "callable";
  readonly name: string;
}

/** An object that is not kept, such as the arguments of a training run. */
interface Opaque {
  readonly kind: "opaque";
}

/** dict and OrderedDict are Maps, list and tuple arrays; both may be part of themselves. */
export type PickleValue =
  | null
  | boolean
  | number
  | string
  | TorchStorage
  | TorchTensor
  | Callable
  | Opaque
  | PickleValue[]
  | Map<PickleValue, PickleValue>;

export function isKind<K extends "storage" | "tensor" | "callable" | "opaque">(
  value: PickleValue | undefined,
  kind: K,
): value is Extract<PickleValue, { kind: K }> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && "kind" in value && value.kind === kind;
}

/** Whether this is a tensor, whose bytes can be read. */
export function isTorchTensor(value: PickleValue | undefined): value is TorchTensor {
  return isKind(value, "tensor");
}

export function isSize(value: PickleValue | undefined): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

export function isSizes(value: PickleValue | undefined): value is number[] {
  return Array.isArray(value) && value.every(isSize);
}
