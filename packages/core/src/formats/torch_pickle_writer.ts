/** The pickle that torch reads as a dict of tensors. */

import { storageDTypes } from "./pickle_values.ts";
import type { Tensor, TensorDType } from "./safetensors.ts";

const storageOfDType: ReadonlyMap<TensorDType, string> = new Map(
  [...storageDTypes].map(([name, dtype]) => [dtype, name]),
);

/** Dicts of flags and counts. */
export type PlainDicts = Readonly<Record<string, Readonly<Record<string, boolean | number>>>>;

/**
 * The pickle of a dict of tensors, or of a dict that holds it under the name `within`, and `beside` it plain ones; `keys` are those of
 * their storages.
 */
export function serializeTorchPickle(
  tensors: ReadonlyMap<string, Tensor>,
  keys: ReadonlyMap<string, string>,
  within?: string,
  beside: PlainDicts = {},
): Uint8Array {
  const out: number[] = [0x80, 2];
  const text = (value: string) => {
    const bytes = new TextEncoder().encode(value);
    out.push(0x58, ...uint32(bytes.byteLength));
    for (const byte of bytes) out.push(byte);
  };
  const name = (value: string) => {
    out.push(0x63);
    for (const char of value.replace(/\.(?=\w+$)/, "\n")) out.push(char.charCodeAt(0));
    out.push(0x0a);
  };
  const integer = (value: number) => {
    // BININT holds 31 bits, LONG1 any number.
    if (value < 2 ** 31) out.push(0x4a, ...uint32(value));
    else out.push(0x8a, 8, ...uint32(value % 2 ** 32), ...uint32(Math.floor(value / 2 ** 32)));
  };
  const tuple = (items: readonly number[]) => {
    out.push(0x28);
    for (const item of items) integer(item);
    out.push(0x74);
  };
  out.push(0x7d);
  if (within !== undefined) {
    text(within);
    out.push(0x7d);
  }
  out.push(0x28);
  for (const [key, { dtype, shape }] of tensors) {
    const storage = storageOfDType.get(dtype);
    if (storage === undefined) throw new RangeError(`Cannot write ${key}: torch stores no ${dtype} this way`);
    const elements = shape.reduce((a, b) => a * b, 1);
    text(key);
    name("torch._utils._rebuild_tensor_v2");
    out.push(0x28, 0x28);
    text("storage");
    name(storage);
    text(keys.get(key) ?? "");
    text("cpu");
    integer(elements);
    out.push(0x74, 0x51); // tuple, storage of this id
    integer(0);
    tuple(shape);
    tuple(shape.map((_, i) => shape.slice(i + 1).reduce((a, b) => a * b, 1)));
    out.push(0x89); // requires_grad false
    name("collections.OrderedDict");
    out.push(0x29, 0x52, 0x74, 0x52); // of no hooks; then call
  }
  out.push(0x75);
  if (within !== undefined) {
    out.push(0x73);
    for (const [key, dict] of Object.entries(beside)) {
      text(key);
      out.push(0x7d, 0x28);
      for (const [field, value] of Object.entries(dict)) {
        text(field);
        if (typeof value === "number") integer(value);
        else out.push(value ? 0x88 : 0x89);
      }
      out.push(0x75, 0x73);
    }
  }
  out.push(0x2e);
  return Uint8Array.from(out);
}

function uint32(value: number): [number, number, number, number] {
  return [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24];
}
