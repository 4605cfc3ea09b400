/** Values of a GGUF file's metadata, which lie one behind the other. Texts of arrays are decoded when they are asked for. */
import type { InputError } from "../errors.ts";

/** A value of the metadata: 64-bit integers beyond 2⁵³ are refused, and arrays of arrays, which no model has. */
export type GgufValue = number | boolean | string | GgufArray;

/** An array of the metadata. */
export interface GgufArray {
  readonly of: "number" | "boolean" | "string";
  readonly length: number;
  /** Decodes all elements. Throws an `InputError` if a text is not UTF-8. */
  values(): (number | boolean | string)[];
}

/** Means that a header goes on behind the bytes at hand. */
export class HeaderEnds extends Error {}

/** Numbers of `gguf_metadata_value_type`. */
const [FLOAT, BOOL, STRING, ARRAY, DOUBLE] = [6, 7, 8, 9, 12];
const widths: Readonly<Record<number, number>> = {
  0: 1,
  1: 1,
  2: 2,
  3: 2,
  4: 4,
  5: 4,
  6: 4,
  7: 1,
  10: 8,
  11: 8,
  12: 8,
};

/** Reads one value behind the other. */
export interface ValueCursor {
  u32(): number;
  /** A size of 64 bits. */
  count(): number;
  /** Returns the number of elements if their least size is there to be read. */
  atMost(elements: number): number;
  /** Where the next value begins. */
  at(): number;
  skip(bytes: number): void;
  string(): string;
  /** A value behind its type; `key` names it in messages. */
  value(key: string): GgufValue;
}

/** Reads values from `head`, from its beginning. Throws `HeaderEnds` behind its end. */
export function valueCursor(head: Uint8Array, fail: (problem: string, cause?: unknown) => InputError): ValueCursor {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  let at = 0;
  const take = (bytes: number): number => {
    if (bytes > head.byteLength - at) throw new HeaderEnds();
    const begin = at;
    at += bytes;
    return begin;
  };
  const u32 = () => view.getUint32(take(4), true);
  const count = (): number => {
    const value = view.getBigUint64(take(8), true);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw fail(`it claims a size of ${value}: download or copy it again`);
    return Number(value);
  };
  const text = (begin: number, end: number): string => {
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(head.subarray(begin, end));
    } catch (cause) {
      throw fail(`the text at byte ${begin} is not UTF-8: download or copy it again`, cause);
    }
  };
  const skipString = (): [begin: number, end: number] => {
    const length = count();
    const begin = take(length);
    return [begin, begin + length];
  };
  const scalar = (type: number, begin: number): number | boolean => {
    if (type === BOOL) return head[begin] !== 0;
    const value = readNumber(view, type, begin);
    if (Number.isSafeInteger(value) || type === FLOAT || type === DOUBLE) return value;
    throw fail(`its metadata has the number ${value}, which is too large: download or copy it again`);
  };
  const array = (key: string): GgufArray => {
    const type = u32();
    const length = count();
    if (type === STRING) {
      const bounds = new Uint32Array(2 * atMost(length));
      for (let i = 0; i < length; i++) bounds.set(skipString(), 2 * i);
      const values = () => Array.from({ length }, (_, i) => text(bounds[2 * i], bounds[2 * i + 1]));
      return { of: "string", length, values };
    }
    const width = widths[type];
    if (width === undefined)
      throw fail(`${JSON.stringify(key.slice(0, 200))} is an array of type ${type}, which is not read`);
    const begin = take(length * width);
    const values = () => Array.from({ length }, (_, i) => scalar(type, begin + i * width));
    return { of: type === BOOL ? "boolean" : "number", length, values };
  };
  /** Every element takes at least eight bytes: more of them than that cannot follow. */
  const atMost = (elements: number): number => {
    if (elements * 8 > head.byteLength - at) throw new HeaderEnds();
    return elements;
  };
  return {
    u32,
    count,
    atMost,
    at: () => at,
    skip: take,
    string: () => text(...skipString()),
    value(key: string): GgufValue {
      const type = u32();
      if (type === STRING) return text(...skipString());
      if (type === ARRAY) return array(key);
      const width = widths[type];
      if (width === undefined) throw fail(`${JSON.stringify(key.slice(0, 200))} has the unknown type ${type}`);
      const value = scalar(type, take(width));
      return type === FLOAT && typeof value === "number" ? shortest(value) : value;
    },
  };
}

function readNumber(view: DataView, type: number, at: number): number {
  switch (type) {
    case 0:
      return view.getUint8(at);
    case 1:
      return view.getInt8(at);
    case 2:
      return view.getUint16(at, true);
    case 3:
      return view.getInt16(at, true);
    case 4:
      return view.getUint32(at, true);
    case 5:
      return view.getInt32(at, true);
    case FLOAT:
      return view.getFloat32(at, true);
    case 10:
      return Number(view.getBigUint64(at, true));
    case 11:
      return Number(view.getBigInt64(at, true));
    default:
      return view.getFloat64(at, true);
  }
}

/** The number with the fewest digits that rounds to this float32: 1e-5 where a config.json had it. */
export function shortest(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return value;
}
