import { existsSync, readFileSync } from "node:fs";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { InputError } from "../errors.ts";
import { parseSafetensors, parseSafetensorsHeader, serializeSafetensors, type Tensor } from "./safetensors.ts";

/** A file of this header text and that many bytes of data. `headerBytes` is what it claims, by default the truth. */
function file(header: string | Uint8Array, dataBytes = 0, headerBytes?: bigint): Uint8Array {
  const text = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const bytes = new Uint8Array(8 + text.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, headerBytes ?? BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}

const I32 = '"dtype":"I32","shape":[2,2]';

function refusal(bytes: Uint8Array): string {
  try {
    parseSafetensors(bytes, "x.safetensors");
  } catch (error) {
    if (error instanceof InputError) return error.message;
    throw error;
  }
  return "accepted";
}

/** After the Rust library's tests in safetensors/src/tensor.rs: the same cases, our bytes and our words. */
describe("hostile headers", () => {
  const cases: Record<string, [bytes: Uint8Array, message: string]> = {
    "json attack: ten tensors on the same bytes": [
      file(`{${Array.from({ length: 10 }, (_, i) => `"w${i}":{${I32},"data_offsets":[0,16]}`).join(",")}}`, 16),
      'tensor "w1" overlaps the tensor before it',
    ],
    "metadata incomplete buffer: bytes after the last tensor": [
      file(`{"t":{${I32},"data_offsets":[0,16]}}`, 50),
      "its tensors end at byte 81 (81 B), the file at byte 115 (115 B): there is more in it than tensors, download or copy it again",
    ],
    "metadata incomplete buffer: two bytes are missing": [
      file(`{"t":{${I32},"data_offsets":[0,16]}}`, 14),
      "its tensors end at byte 81 (81 B), the file at byte 79 (79 B): the file was cut off, download or copy it again",
    ],
    "header too large": [file("{}", 16, 0xffffff0000003cn), "at most 100000000 are allowed"],
    "header too large by one, in a file that is long enough on paper": [
      file("{}", 0, 100_000_001n),
      "at most 100000000",
    ],
    "header too small: an empty file": [new Uint8Array(0), "it is empty: download or copy it again"],
    "header too small: seven bytes": [new Uint8Array(7), "it has 7 bytes"],
    "invalid header length: nothing follows": [file("", 0, 60n), "its header claims 60 bytes, 0 follow"],
    "header length 2⁶⁴−1": [file("{}", 0, 0xffffffffffffffffn), "its header claims 18446744073709551615 bytes"],
    "header of no bytes": [file(""), "does not start with {"],
    "non-UTF-8": [file(Uint8Array.of(0x7b, 0xff, 0x7d)), "is not UTF-8"],
    "overlong UTF-8": [file(Uint8Array.of(0x7b, 0x22, 0xc0, 0xaf, 0x22, 0x3a, 0x31, 0x7d)), "is not UTF-8"],
    "not JSON": [file("{"), "is not valid JSON"],
    "not an object": [file("[1]"), "does not start with {"],
    "whitespace in front": [file("\t\n{}"), "does not start with {"],
    "a byte order mark in front": [file("\ufeff{}"), "does not start with {"],
    "something after the object": [file("{}{}"), "is not valid JSON"],
    "duplicate tensor": [
      file(`{"t":{${I32},"data_offsets":[0,16]},"t":{${I32},"data_offsets":[0,16]}}`, 16),
      'Duplicate key "t"',
    ],
    "duplicate tensor in two spellings": [
      file(`{"t":{${I32},"data_offsets":[0,16]},"\\u0074":{${I32},"data_offsets":[0,16]}}`, 16),
      'Duplicate key "t"',
    ],
    "duplicate dtype": [file(`{"t":{"dtype":"F32",${I32},"data_offsets":[0,16]}}`, 16), 'Duplicate key "dtype"'],
    "duplicate __metadata__": [file('{"__metadata__":{},"__metadata__":{}}'), 'Duplicate key "__metadata__"'],
    "metadata that is no text": [file('{"__metadata__":{"step":1}}'), '__metadata__ key "step" holds no string'],
    "metadata that is nested": [file('{"__metadata__":{"a":{"b":"c"}}}'), '__metadata__ key "a" holds no string'],
    "metadata that is a list": [file('{"__metadata__":["pt"]}'), "__metadata__ in its header is not an object"],
    "invalid info: bytes are not shape × dtype": [
      file('{"t":{"dtype":"I32","shape":[2,2],"data_offsets":[0,4]}}', 4),
      'tensor "t" is I32[2, 2], 16 bytes, but spans bytes 0 to 4',
    ],
    "validation overflow in the shape": [
      file('{"t":{"dtype":"I32","shape":[2,18446744073709551614],"data_offsets":[0,16]}}', 16),
      "has a shape that is not a list of sizes",
    ],
    "validation overflow in shape × dtype": [
      file('{"t":{"dtype":"I32","shape":[4194304,4194304,4194304],"data_offsets":[0,16]}}', 16),
      "has more elements than can be",
    ],
    "overflow that wraps to the right size": [
      file('{"t":{"dtype":"I32","shape":[4294967296,4294967296,4],"data_offsets":[0,16]}}', 16),
      "has more elements than can be",
    ],
    "negative size": [file('{"t":{"dtype":"I32","shape":[-2,-2],"data_offsets":[0,16]}}', 16), "not a list of sizes"],
    "fraction of a size": [file('{"t":{"dtype":"I32","shape":[1.5],"data_offsets":[0,6]}}', 6), "not a list of sizes"],
    "shape that is a text": [
      file('{"t":{"dtype":"I32","shape":"22","data_offsets":[0,16]}}', 16),
      "not a list of sizes",
    ],
    "offsets the wrong way round": [
      file('{"t":{"dtype":"I32","shape":[2,2],"data_offsets":[16,0]}}', 16),
      "but spans bytes 16 to 0",
    ],
    "three offsets": [file(`{"t":{${I32},"data_offsets":[0,16,16]}}`, 16), "not two byte positions"],
    "offsets beyond the file": [
      file(`{"t":{${I32},"data_offsets":[1000,1016]}}`, 16),
      'tensor "t" leaves a hole before it',
    ],
    "a hole between tensors": [
      file(`{"a":{${I32},"data_offsets":[0,16]},"b":{${I32},"data_offsets":[20,36]}}`, 36),
      'tensor "b" leaves a hole before it',
    ],
    "a zero-sized tensor inside another": [
      file(`{"a":{${I32},"data_offsets":[0,16]},"b":{"dtype":"I32","shape":[0],"data_offsets":[8,8]}}`, 16),
      'tensor "b" overlaps the tensor before it',
    ],
    "unknown dtype": [
      file('{"t":{"dtype":"F2","shape":[1],"data_offsets":[0,1]}}', 1),
      'has dtype "F2", known are BOOL',
    ],
    "dtype from the prototype": [
      file('{"t":{"dtype":"constructor","shape":[1],"data_offsets":[0,1]}}', 1),
      'has dtype "constructor"',
    ],
    "no shape": [file('{"t":{"dtype":"I32","data_offsets":[0,16]}}', 16), "not a list of sizes"],
    "a tensor that is null": [file('{"t":null}'), 'tensor "t" is not described by an object'],
    "a name that is half a character": [
      file('{"\\ud800":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'),
      "has a name that is not well-formed text",
    ],
  };
  test.each(Object.entries(cases))("%s", (_, [bytes, message]) => {
    expect(refusal(bytes)).toContain(message);
  });
});

describe("unusual but valid files", () => {
  test("an empty file object, padded with any JSON whitespace", () => {
    expect(parseSafetensors(file("{}\r \t\n"), "x").tensors.size).toBe(0);
  });

  test("scalars, zero-sized tensors and foreign dtypes", () => {
    const header =
      '{"scalar":{"dtype":"I32","shape":[],"data_offsets":[0,4]},"empty":{"dtype":"F64","shape":[2,0],"data_offsets":[4,4]},' +
      '"f8":{"dtype":"F8_E4M3","shape":[3],"data_offsets":[4,7]}}';
    const { tensors } = parseSafetensors(file(header, 7), "x");
    expect([...tensors].map(([name, { shape, bytes }]) => [name, shape, bytes.length])).toEqual([
      ["scalar", [], 4],
      ["empty", [2, 0], 0],
      ["f8", [3], 3],
    ]);
  });

  test("a tensor called __proto__ or constructor is a tensor", () => {
    const header =
      '{"__proto__":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"constructor":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}';
    const { tensors, metadata } = parseSafetensors(file(header, 2), "x");
    expect([...tensors.keys()]).toEqual(["__proto__", "constructor"]);
    expect(metadata.size).toBe(0);
    expect(new TextDecoder().decode(serializeSafetensors(tensors)).slice(8)).toContain('{"__proto__":{"dtype":"U8"');
  });

  test("less than the whole header cannot be read, and is no fault of the file", () => {
    const bytes = file('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 1);
    const part = bytes.subarray(0, bytes.length - 2);
    expect(() => parseSafetensorsHeader(part, bytes.length, "x")).toThrow(
      `Cannot read the header of x: expected ${bytes.length - 1} bytes, got ${bytes.length - 2}`,
    );
  });

  test("entries in any order; tensors come in the order of their bytes, at positions from the start of the file", () => {
    const bytes = file(
      '{"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
      2,
    );
    const { tensors } = parseSafetensorsHeader(bytes, bytes.length, "x");
    expect([...tensors].map(([name, { begin, end }]) => [name, begin - bytes.length, end - bytes.length])).toEqual([
      ["a", -2, -1],
      ["b", -1, 0],
    ]);
  });
});

test("a mutated file gives tensors inside the file, or an InputError, never anything else", () => {
  const tensors = new Map<string, Tensor>([
    ["a.weight", { dtype: "F32", shape: [2, 3], bytes: new Uint8Array(24).fill(1) }],
    ["b", { dtype: "BF16", shape: [4], bytes: new Uint8Array(8).fill(2) }],
    ["c", { dtype: "I64", shape: [0, 9], bytes: new Uint8Array(0) }],
  ]);
  const valid = serializeSafetensors(tensors, { format: "pt" });
  const headerText = '{}[]",:0123456789-.eE\\u tfn\u00e9'.split("");
  const mutation = fc.record({
    at: fc.nat(valid.length - 1),
    drop: fc.nat(3),
    insert: fc.oneof(
      fc.uint8Array({ maxLength: 4 }),
      fc.constantFrom(...headerText).map((c) => new TextEncoder().encode(c)),
    ),
    fixLength: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(mutation, { minLength: 1, maxLength: 4 }), (mutations) => {
      let bytes = valid;
      for (const { at, drop, insert, fixLength } of mutations) {
        const cut = Math.min(at, bytes.length);
        bytes = Uint8Array.from([...bytes.subarray(0, cut), ...insert, ...bytes.subarray(cut + drop)]);
        // Without this most mutations of the length would end at the first check.
        if (fixLength && bytes.length > 40) new DataView(bytes.buffer).setBigUint64(0, BigInt(bytes.length - 40), true);
      }
      try {
        const { tensors: read } = parseSafetensorsHeader(bytes, bytes.length, "x");
        let end: number | undefined;
        for (const tensor of read.values()) {
          expect(tensor.begin).toBeGreaterThanOrEqual(end ?? 8);
          expect(tensor.end).toBeLessThanOrEqual(bytes.length);
          end = tensor.end;
        }
      } catch (error) {
        if (!(error instanceof InputError)) throw error;
      }
    }),
    { numRuns: 3000 },
  );
});

test("a file cut off at any byte is refused", () => {
  const tensors = new Map<string, Tensor>([["t", { dtype: "F32", shape: [2], bytes: new Uint8Array(8) }]]);
  const valid = serializeSafetensors(tensors, { format: "pt" });
  for (let length = 0; length < valid.length; length++) {
    expect(refusal(valid.subarray(0, length)), `${length} bytes`).not.toBe("accepted");
  }
});

const golden = new URL("../../../../../shared/golden/", import.meta.url);
describe.skipIf(!existsSync(golden))(
  "golden files of safetensors' Python package (skipped without shared/golden)",
  () => {
    const cases = ["llama_mha", "llama_gqa", "llama3_rope", "llama_bias", "mistral_gqa", "gpt2"].flatMap((name) => [
      `${name}/adapter/adapter_model.safetensors`,
      `${name}/base/model.safetensors`,
      `${name}/tensors.safetensors`,
    ]);
    test.each(cases)("%s is read and written again byte for byte", (path) => {
      const bytes = new Uint8Array(readFileSync(new URL(path, golden)));
      const { tensors, metadata } = parseSafetensors(bytes, path);
      const shuffled = new Map([...tensors].toReversed());
      expect(Buffer.compare(serializeSafetensors(shuffled, Object.fromEntries(metadata)), bytes)).toBe(0);
    });
  },
);
