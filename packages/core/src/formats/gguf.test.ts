/** Headers of GGUF files: what is read, and what is refused before any memory is taken. */
import { expect, test } from "vitest";
import { type WrittenFile, writeGguf } from "../../test/gguf_writer.ts";
import { InputError } from "../errors.ts";
import { parseGgufHeader } from "./gguf.ts";

const f32 = (...shape: number[]) => ({ type: 0, shape, bytes: new Uint8Array(4 * shape.reduce((a, b) => a * b)) });
const parse = (bytes: Uint8Array) => parseGgufHeader(bytes, bytes.length, "x.gguf");

function problemOf(bytes: Uint8Array): string {
  try {
    parse(bytes);
  } catch (error) {
    return error instanceof InputError ? error.message : `not refused: ${String(error)}`;
  }
  return "not refused";
}

test("values of every type come back, and a float32 as the shortest number that rounds to it", () => {
  const header = parse(
    writeGguf({
      metadata: {
        "a.u8": ["u8", 200],
        "a.i8": ["i8", -5],
        "a.u16": ["u16", 60_000],
        "a.i16": ["i16", -300],
        "a.u32": ["u32", 4_000_000_000],
        "a.i32": ["i32", -70_000],
        "a.u64": ["u64", 2n ** 53n - 1n],
        "a.i64": ["i64", -9n],
        "a.eps": ["f32", 1e-5],
        "a.theta": ["f32", 500_000],
        "a.third": ["f64", 1 / 3],
        "a.yes": ["bool", true],
        "a.text": ["string", "naïve ▁"],
        "a.texts": ["array", "string", ["", "a", "▁b"]],
        "a.list": ["array", "i32", [1, -2, 3]],
        "a.flags": ["array", "bool", [true, false]],
      },
      tensors: { "w.weight": f32(2, 3), "b.bias": f32(5) },
    }),
  );
  const value = (key: string) => header?.metadata.get(`a.${key}`);
  expect(["u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64"].map(value)).toEqual([
    200,
    -5,
    60_000,
    -300,
    4_000_000_000,
    -70_000,
    2 ** 53 - 1,
    -9,
  ]);
  expect(["eps", "theta", "third", "yes", "text"].map(value)).toEqual([1e-5, 500_000, 1 / 3, true, "naïve ▁"]);
  const values = ["texts", "list", "flags"].map((key) => (value(key) as { values(): unknown[] }).values());
  expect(values).toEqual([
    ["", "a", "▁b"],
    [1, -2, 3],
    [true, false],
  ]);
  const [first, second] = [...(header?.tensors.values() ?? [])];
  expect([first.shape, second.shape]).toEqual([[2, 3], [5]]);
  expect([first.end - first.begin, second.begin - first.begin]).toEqual([24, 32]);
});

test("a header asks for more until it is whole, and a file that was cut off is refused wherever it ends", () => {
  const file = writeGguf({
    metadata: { "general.name": ["string", "n".repeat(100)], "a.texts": ["array", "string", ["one", "two", "three"]] },
    tensors: { w: f32(4, 8), v: f32(3) },
  });
  const dataBegin = parse(file)?.tensors.get("w")?.begin ?? 0;
  for (let length = 0; length < dataBegin - 32; length++) {
    expect(parseGgufHeader(file.subarray(0, length), file.length, "x.gguf"), `${length}`).toBeUndefined();
  }
  for (let length = 0; length < file.length - 20; length++) {
    const head = file.subarray(0, length);
    expect(problemOf(head), `${length} bytes`).toMatch(/cut off|is empty|is text that begins/);
  }
});

const broken: [what: string, problem: string, file: WrittenFile | Uint8Array][] = [
  ["another magic", "it does not begin with GGUF", Buffer.from("GGML".padEnd(64, "\0"))],
  ["version 1", "it has version 1 of the format, read are 2 and 3", { version: 1 }],
  ["big-endian numbers", "its numbers are big-endian", { version: 0x03000000 }],
  ["more values than there are", "its header goes on behind its end", { valueCount: 3n }],
  ["2⁶³ values", "it claims a size of 9223372036854775808", { valueCount: 2n ** 63n }],
  ["2⁵² tensors", "its header goes on behind its end", { tensorCount: 2n ** 52n }],
  ["an array of arrays", "is an array of type 9", { metadata: { k: ["array", "array", [1]] } }],
  ["a number beyond 2⁵³", "which is too large", { metadata: { k: ["u64", 2n ** 60n] } }],
  ["an alignment of 48", "general.alignment is 48", { metadata: { "general.alignment": ["u32", 48] } }],
  ["an alignment of 2³¹", "general.alignment is 2147483648", { metadata: { "general.alignment": ["u32", 2 ** 31] } }],
  ["a tensor of five dimensions", "has 5 dimensions", { tensors: { w: f32(1, 1, 1, 1, 2) } }],
  ["a tensor without numbers", "has a size that cannot be: [0, 4]", { tensors: { w: f32(0, 4) } }],
  ["a type that is not read", '"w" is IQ2_XS, read are F32, F16, Q4_0', { tensors: { w: { ...f32(256), type: 17 } } }],
  ["an unknown type", '"w" is of the unknown type 99', { tensors: { w: { ...f32(256), type: 99 } } }],
  ["rows that end within a block", "no multiple of 32 numbers", { tensors: { w: { ...f32(2, 40), type: 8 } } }],
  [
    "tensors that overlap",
    "begins at 0 of the data, expected is 32",
    { tensors: { w: f32(4), v: { ...f32(4), offset: 0 } } },
  ],
  [
    "a hole between tensors",
    "begins at 96 of the data, expected is 32",
    { tensors: { w: f32(4), v: { ...f32(4), offset: 96 } } },
  ],
  [
    "a tensor beyond the file",
    "its tensors end at byte",
    { tensors: { w: { ...f32(400), bytes: new Uint8Array(16) } } },
  ],
];

test.each(broken)("%s is refused", (_, problem, file) => {
  expect(problemOf(file instanceof Uint8Array ? file : writeGguf(file))).toMatch(/^Cannot read x\.gguf: /);
  expect(problemOf(file instanceof Uint8Array ? file : writeGguf(file))).toContain(problem);
});

test("keys and tensors that come twice, texts that are not UTF-8, and bytes behind the last tensor are refused", () => {
  const twice = writeGguf({ metadata: { "k.aa": ["u8", 1], "k.ab": ["u8", 1] }, tensors: { wa: f32(8), wb: f32(8) } });
  const renamed = (from: string, to: string) => Buffer.from(twice.toString("latin1").replace(from, to), "latin1");
  expect(problemOf(renamed("k.ab", "k.aa"))).toContain('its metadata has "k.aa" twice');
  expect(problemOf(renamed("wb", "wa"))).toContain('it has two tensors called "wa"');
  expect(problemOf(renamed("k.ab", "k.\xff\xff"))).toContain("is not UTF-8");
  expect(problemOf(Buffer.concat([twice, Buffer.alloc(33)]))).toMatch(/and \d+ bytes follow/);
});
