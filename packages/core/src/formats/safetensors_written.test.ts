/** What is written as safetensors, byte by byte as the Rust library writes it. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseSafetensors, serializeSafetensors, type Tensor } from "./safetensors.ts";

describe("writing", () => {
  test("an empty file has the Rust library's 16 bytes", () => {
    expect([...serializeSafetensors(new Map())]).toEqual([8, 0, 0, 0, 0, 0, 0, 0, 123, 125, 32, 32, 32, 32, 32, 32]);
  });

  test("dtypes, names beyond U+FFFF and escapes come in the order and spelling of safetensors 0.8.0", () => {
    // Printed by the Python package (safetensors.numpy.save) for the same tensors.
    const expected =
      '{"u64":{"dtype":"U64","shape":[1],"data_offsets":[0,8]},"i64":{"dtype":"I64","shape":[1],"data_offsets":[8,16]},' +
      '"f64":{"dtype":"F64","shape":[1],"data_offsets":[16,24]},"c64":{"dtype":"C64","shape":[1],"data_offsets":[24,32]},' +
      '"a/é\u2028\u007f\\u0001\\"":{"dtype":"F32","shape":[1],"data_offsets":[32,36]},' +
      '"f32":{"dtype":"F32","shape":[1],"data_offsets":[36,40]},"\uffee":{"dtype":"F32","shape":[1],"data_offsets":[40,44]},' +
      '"\u{1f600}":{"dtype":"F32","shape":[1],"data_offsets":[44,48]},"u32":{"dtype":"U32","shape":[1],"data_offsets":[48,52]},' +
      '"i32":{"dtype":"I32","shape":[1],"data_offsets":[52,56]},"bf16":{"dtype":"BF16","shape":[1],"data_offsets":[56,58]},' +
      '"f16":{"dtype":"F16","shape":[1],"data_offsets":[58,60]},"u16":{"dtype":"U16","shape":[1],"data_offsets":[60,62]},' +
      '"i16":{"dtype":"I16","shape":[1],"data_offsets":[62,64]},"f8_e8m0":{"dtype":"F8_E8M0","shape":[1],"data_offsets":[64,65]},' +
      '"f8_e4m3":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[65,66]},"f8_e5m2":{"dtype":"F8_E5M2","shape":[1],"data_offsets":[66,67]},' +
      '"i8":{"dtype":"I8","shape":[1],"data_offsets":[67,68]},"u8":{"dtype":"U8","shape":[1],"data_offsets":[68,69]},' +
      '"bool":{"dtype":"BOOL","shape":[1],"data_offsets":[69,70]}}';
    const dtypes: readonly Tensor["dtype"][][] = [
      ["BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0"],
      ["I16", "U16", "F16", "BF16"],
      ["I32", "U32", "F32"],
      ["C64", "F64", "I64", "U64"],
    ];
    const tensors = new Map<string, Tensor>();
    for (const [log2, group] of dtypes.entries()) {
      for (const dtype of group)
        tensors.set(dtype.toLowerCase(), { dtype, shape: [1], bytes: new Uint8Array(1 << log2) });
    }
    for (const name of ["\u{1f600}", "\uffee", 'a/é\u2028\u007f\u0001"']) {
      tensors.set(name, { dtype: "F32", shape: [1], bytes: new Uint8Array(4) });
    }
    const bytes = serializeSafetensors(tensors);
    expect(new TextDecoder().decode(bytes.subarray(8, -70)).trimEnd()).toBe(expected);
  });

  test("metadata comes first and sorted, integer-like names keep their place", () => {
    const tensor = { dtype: "U8", shape: [1], bytes: Uint8Array.of(7) } as const;
    const bytes = serializeSafetensors(
      new Map([
        ["b", tensor],
        ["10", tensor],
        ["9", tensor],
      ]),
      { z: "1", format: "pt" },
    );
    expect(new TextDecoder().decode(bytes.subarray(8))).toMatch(
      /^\{"__metadata__":\{"format":"pt","z":"1"\},"10":.*"9":.*"b":/,
    );
    expect(parseSafetensors(bytes, "x").metadata).toEqual(
      new Map([
        ["format", "pt"],
        ["z", "1"],
      ]),
    );
  });

  test("a tensor whose bytes do not fit its shape is a fault of the caller", () => {
    const tensors = new Map([["t", { dtype: "F32", shape: [2], bytes: new Uint8Array(4) } as const]]);
    expect(() => serializeSafetensors(tensors)).toThrow(RangeError);
    expect(() =>
      serializeSafetensors(new Map([["__metadata__", { dtype: "U8", shape: [], bytes: new Uint8Array(1) }]])),
    ).toThrow(RangeError);
  });
});

const tensorArbitrary = fc
  .tuple(
    fc.constantFrom("BOOL" as const, "F16" as const, "BF16" as const, "F32" as const, "I64" as const),
    fc.array(fc.nat(3), { maxLength: 3 }),
    fc.nat(255),
  )
  .map(([dtype, shape, fill]): Tensor => {
    const width = dtype === "I64" ? 8 : dtype === "F32" ? 4 : dtype === "BOOL" ? 1 : 2;
    return {
      dtype,
      shape,
      bytes: new Uint8Array(shape.reduce((a, b) => a * b, width)).fill(fill),
    };
  });
const tensorsArbitrary = fc
  .array(fc.tuple(fc.string({ unit: "binary", minLength: 1, maxLength: 8 }), tensorArbitrary), { maxLength: 6 })
  .map((entries) => new Map(entries));

test("everything written is read back, and writing it again gives the same bytes", () => {
  fc.assert(
    fc.property(
      tensorsArbitrary,
      fc.dictionary(fc.string({ unit: "binary" }), fc.string({ unit: "binary" })),
      (tensors, metadata) => {
        const bytes = serializeSafetensors(tensors, metadata);
        expect((bytes.length - [...tensors.values()].reduce((sum, t) => sum + t.bytes.length, 0)) % 8).toBe(0);
        const read = parseSafetensors(bytes, "x");
        expect(read.tensors.size).toBe(tensors.size);
        for (const [name, tensor] of tensors) expect(read.tensors.get(name)).toEqual(tensor);
        expect(serializeSafetensors(read.tensors, Object.fromEntries(read.metadata))).toEqual(bytes);
      },
    ),
  );
});
