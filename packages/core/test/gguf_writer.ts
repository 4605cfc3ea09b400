/** Writes GGUF files by the format's description, for tests: right ones, and ones that lie. */

/** Value types of the metadata, by name. */
const types = {
  u8: 0,
  i8: 1,
  u16: 2,
  i16: 3,
  u32: 4,
  i32: 5,
  f32: 6,
  bool: 7,
  string: 8,
  array: 9,
  u64: 10,
  i64: 11,
  f64: 12,
};
type TypeName = keyof typeof types;

/** A typed value, or a list of values of one type. */
export type WrittenValue =
  | readonly [Exclude<TypeName, "array">, number | bigint | boolean | string]
  | readonly ["array", TypeName, readonly unknown[]];

export interface WrittenTensor {
  /** Number of the type. */
  readonly type: number;
  /** Slowest first. */
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
  /** In the data. @default behind the tensor before */
  readonly offset?: number;
}

export interface WrittenFile {
  readonly metadata?: Readonly<Record<string, WrittenValue>>;
  readonly tensors?: Readonly<Record<string, WrittenTensor>>;
  readonly version?: number;
  readonly alignment?: number;
  /** What the file claims. @default what there is */
  readonly tensorCount?: bigint;
  readonly valueCount?: bigint;
}

export function writeGguf(file: WrittenFile): Buffer {
  const { metadata = {}, tensors = {}, version = 3, alignment = 32 } = file;
  const parts: Buffer[] = [];
  const number = (type: TypeName, value: unknown) => parts.push(bytesOf(type, value));
  const text = (value: string) => {
    number("u64", BigInt(Buffer.byteLength(value)));
    parts.push(Buffer.from(value));
  };
  const scalar = (type: TypeName, value: unknown) => (type === "string" ? text(String(value)) : number(type, value));
  parts.push(Buffer.from("GGUF"));
  number("u32", version);
  number("u64", file.tensorCount ?? BigInt(Object.keys(tensors).length));
  number("u64", file.valueCount ?? BigInt(Object.keys(metadata).length));
  for (const [key, value] of Object.entries(metadata)) {
    text(key);
    number("u32", types[value[0]]);
    if (value[0] !== "array") {
      scalar(value[0], value[1]);
      continue;
    }
    number("u32", types[value[1]]);
    number("u64", BigInt(value[2].length));
    for (const element of value[2]) scalar(value[1], element);
  }
  const padded = (bytes: number) => Math.ceil(bytes / alignment) * alignment;
  let next = 0;
  const data: Buffer[] = [];
  for (const [name, { type, shape, bytes, offset = next }] of Object.entries(tensors)) {
    text(name);
    number("u32", shape.length);
    for (const size of shape.toReversed()) number("u64", BigInt(size));
    number("u32", type);
    number("u64", BigInt(offset));
    next = padded(offset + bytes.length);
    data.push(Buffer.concat([bytes], padded(bytes.length)));
  }
  const head = Buffer.concat(parts);
  return Buffer.concat([Buffer.concat([head], padded(head.length)), ...data]);
}

function bytesOf(type: TypeName, value: unknown): Buffer {
  const bytes = Buffer.alloc({ u8: 1, i8: 1, u16: 2, i16: 2, bool: 1, u64: 8, i64: 8, f64: 8 }[type as string] ?? 4);
  if (type === "u64" || type === "i64") bytes.writeBigInt64LE(BigInt.asIntN(64, value as bigint));
  else if (type === "f32") bytes.writeFloatLE(Number(value));
  else if (type === "f64") bytes.writeDoubleLE(Number(value));
  else if (type === "i8" || type === "i16" || type === "i32") bytes.writeIntLE(Number(value), 0, bytes.length);
  else bytes.writeUIntLE(Number(value), 0, bytes.length);
  return bytes;
}
