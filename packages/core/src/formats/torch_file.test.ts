import { readdirSync, readFileSync } from "node:fs";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { InputError } from "../errors.ts";
import { memorySource } from "./byte_source.ts";
import { elementBytes, parseSafetensors, type Tensor, type TensorDType } from "./safetensors.ts";
import { serializeStoredZip } from "./stored_zip_writer.ts";
import { openTorchFile, readTorchTensors, serializeTorchFile, tensorsOf } from "./torch_file.ts";

const files = new URL("../../test/torch_files/", import.meta.url);
const bytesOf = (name: string) => new Uint8Array(readFileSync(new URL(name, files)));

/** All tensors of the dict at `path`. */
async function read(bytes: Uint8Array, ...path: string[]): Promise<Map<string, Tensor>> {
  const file = await openTorchFile(memorySource(bytes, "x.pth"));
  let dict = file.root;
  for (const key of path) dict = dict instanceof Map ? (dict.get(key) ?? null) : null;
  return readTorchTensors(file, tensorsOf(dict));
}

async function refusal(bytes: Uint8Array): Promise<string> {
  const error = await read(bytes).catch((thrown: unknown) => thrown);
  return error instanceof InputError ? error.message : `not refused: ${String(error)}`;
}

describe("files that torch 2.13 wrote (test/torch_files/make.py)", () => {
  const whole = ["dtypes", "views", "state_dict", "parameters", "without_crc"];
  test.each([...whole.map((name) => [name, []] as const), ["checkpoint", ["model"]] as const])(
    "%s has the bits that torch gave to safetensors",
    async (name, path) => {
      const expected = parseSafetensors(bytesOf(`${name}.safetensors`), name).tensors;
      const found = await read(bytesOf(`${name}.pth`), ...path);
      expect([...found.keys()].toSorted()).toEqual([...expected.keys()].toSorted());
      for (const [key, { dtype, shape, bytes }] of expected) {
        expect({ key, ...found.get(key) }).toEqual({ key, dtype, shape, bytes: bytes.slice() });
      }
    },
  );

  test("what else a training checkpoint holds is read as data, its arguments as nothing", async () => {
    const { root } = await openTorchFile(memorySource(bytesOf("checkpoint.pth"), "x"));
    expect(root instanceof Map && Object.fromEntries(root)).toMatchObject({
      epoch: 4,
      big: -(2 ** 40),
      args: { kind: "opaque" },
      size: [2, 3],
      list: [1, 300, 70000, null, true, "é"],
    });
  });

  test("the format before torch 1.6 and other pickle protocols are refused with the way out", async () => {
    expect(await refusal(bytesOf("legacy.pth"))).toContain(
      "it is a bare pickle, the format of torch before 1.6, which is not read: in Python, torch.save(torch.load(path,",
    );
    expect(await refusal(bytesOf("protocol_4.pth"))).toContain("it is pickled with protocol 4, torch's is 2");
  });

  test("every prefix and every changed byte is refused or reads the same tensors", async () => {
    const bytes = bytesOf("state_dict.pth");
    const expected = await read(bytes);
    for (let length = 0; length < bytes.length; length++) {
      expect(await refusal(bytes.subarray(0, length))).toMatch(/^Cannot read x.pth: /);
    }
    const changed = bytes.slice();
    for (let at = 0; at < bytes.length; at++) {
      for (const flip of [0x01, 0x80]) {
        changed[at] ^= flip;
        const found = await read(changed).catch((error: unknown) => error);
        expect(found instanceof InputError ? expected : found).toEqual(expected);
        changed[at] ^= flip;
      }
    }
  });
});

const dtypes: TensorDType[] = ["F32", "F16", "BF16", "F64", "I64", "I32", "I16", "I8", "U8", "BOOL"];
const tensor = fc
  .tuple(fc.constantFrom(...dtypes), fc.array(fc.nat({ max: 4 }), { maxLength: 4 }))
  .chain(([dtype, shape]) => {
    const length = shape.reduce((a, b) => a * b, elementBytes[dtype]);
    return fc.uint8Array({ minLength: length, maxLength: length }).map((bytes): Tensor => ({ dtype, shape, bytes }));
  });
const tensorSet = fc
  .uniqueArray(fc.tuple(fc.string({ unit: "grapheme", maxLength: 12 }), tensor), {
    selector: ([name]) => name,
    maxLength: 6,
  })
  .map((pairs) => new Map(pairs));

test("any tensors come back as they were written, nested or not [A4]", async () => {
  await fc.assert(
    fc.asyncProperty(tensorSet, fc.constantFrom(undefined, "model"), async (tensors, within) => {
      const bytes = serializeTorchFile(tensors, within);
      expect(await read(bytes, ...(within === undefined ? [] : [within]))).toEqual(tensors);
    }),
  );
});

test("the same tensors make the same file, dates and names of machines are not in it", () => {
  const tensors = new Map<string, Tensor>([["a", { dtype: "U8", shape: [2], bytes: Uint8Array.of(1, 2) }]]);
  expect(serializeTorchFile(tensors)).toEqual(serializeTorchFile(tensors));
  expect(() => serializeTorchFile(new Map([["a", { dtype: "F8_E4M3", shape: [0], bytes: new Uint8Array() }]]))).toThrow(
    RangeError,
  );
});

const text = (value: string) => new TextEncoder().encode(value);
const le32 = (value: number) => [value & 255, (value >> 8) & 255, (value >> 16) & 255, value >>> 24];
const unicode = (value: string) => [0x58, ...le32(text(value).length), ...text(value)];
const global = (module: string, name: string) => [0x63, ...text(`${module}\n${name}\n`)];
const int = (value: number) => [0x4a, ...le32(value)];
const tuple = (...items: number[][]) => [0x28, ...items.flat(), 0x74];
const pickle = (...ops: number[][]) => Uint8Array.from([0x80, 2, ...ops.flat(), 0x2e]);
const storage = (elements: number, key = "0", type = "FloatStorage") => [
  ...tuple(unicode("storage"), global("torch", type), unicode(key), unicode("cpu"), int(elements)),
  0x51,
];
const rebuild = (...args: number[][]) => [
  ...global("torch._utils", "_rebuild_tensor_v2"),
  ...tuple(...args, [0x89], [...global("collections", "OrderedDict"), 0x29, 0x52]),
  0x52,
];
const sizes = (...values: number[]) => tuple(...values.map(int));
const inDict = (...pairs: [string, number[]][]) => [
  0x7d,
  0x28,
  ...pairs.flatMap(([key, value]) => [...unicode(key), ...value]),
  0x75,
];

/** A torch file of this pickle with 16 bytes (four floats) in `data/0`. */
function torchZip(pickled: Uint8Array, more: Record<string, Uint8Array> = {}): Uint8Array {
  const entries = { "a/data.pkl": pickled, "a/data/0": new Uint8Array(16).fill(7), "a/version": text("3\n"), ...more };
  return serializeStoredZip(new Map(Object.entries(entries)), 64);
}

const one = (view: number[]) => torchZip(pickle(inDict(["t", view])));

test("the hand-made pickle is sound if nothing is wrong with it", async () => {
  const tensors = await read(one(rebuild(storage(4), int(0), sizes(2, 2), sizes(2, 1))));
  expect(tensors).toEqual(new Map([["t", { dtype: "F32", shape: [2, 2], bytes: new Uint8Array(16).fill(7) }]]));
});

describe("hostile pickles [A4]", () => {
  const cases: Record<string, [bytes: Uint8Array, message: string]> = {
    "os.system, called": [
      torchZip(pickle(global("os", "system"), tuple(unicode("true")), [0x52])),
      'it asks for "os.system", which may run code and is not among the names that make up tensors',
    ],
    "a builtin": [torchZip(pickle(global("builtins", "eval"))), 'it asks for "builtins.eval"'],
    "a name that looks like one of torch's": [
      torchZip(pickle(global("torch._utils", "_rebuild_tensor_v2.__globals__"))),
      'it asks for "torch._utils._rebuild_tensor_v2.__globals__"',
    ],
    "a name from JavaScript's prototypes": [
      torchZip(pickle(global("constructor", "__proto__"))),
      'it asks for "constructor.__proto__"',
    ],
    "a name without end": [torchZip(Uint8Array.of(0x80, 2, 0x63, ...new Uint8Array(5000).fill(65))), "a name has no"],
    "an object of protocol 0": [torchZip(pickle([0x69])), "opcode 0x69 is none that torch writes"],
    "a call of what is no function": [torchZip(pickle(unicode("f"), [0x29, 0x52])), "calls what cannot be called"],
    "a storage type called": [
      torchZip(pickle(global("torch", "FloatStorage"), tuple(int(1 << 30)), [0x52])),
      "it calls torch.FloatStorage in a way that torch does not",
    ],
    "an empty pickle": [torchZip(new Uint8Array()), "it ends early"],
    "only a stop": [torchZip(pickle()), "it ends with 0 values"],
    "two values": [torchZip(pickle(int(1), int(2))), "it ends with 2 values"],
    "bytes after the stop": [torchZip(Uint8Array.of(...pickle(int(1)), 0)), "something follows its end"],
    "a text longer than the pickle": [
      torchZip(pickle([0x58, 0xff, 0xff, 0xff, 0xff])),
      "its pickle is damaged at byte 7: it ends early",
    ],
    "a text that is not UTF-8": [torchZip(pickle([0x58, 1, 0, 0, 0, 0xff])), "a text is not UTF-8"],
    "a value that was never stored": [torchZip(pickle([0x68, 9])), "it recalls value 9, which it never stored"],
    "a pop below the mark": [torchZip(pickle(int(1), [0x28], [0x85])), "it takes a value that is not there"],
    "no mark": [torchZip(pickle([0x74])), "it has no mark to go back to"],
    "an odd number of items": [torchZip(pickle([0x7d, 0x28], unicode("k"), [0x75])), "sets items of what is no dict"],
    "a key twice": [torchZip(pickle(inDict(["k", int(1)], ["k", int(2)]))), 'it sets "k" of a dict twice'],
    "attributes of a list": [torchZip(pickle([0x5d, 0x7d, 0x62])), "it sets attributes of what has none"],
    "a storage of another name": [
      one(rebuild(storage(4, "0", "UntypedStorage"), int(0), sizes(1), sizes(1))),
      'it asks for "torch.UntypedStorage"',
    ],
    "a storage that is not there": [
      one(rebuild(storage(4, "../../0"), int(0), sizes(1), sizes(1))),
      'tensor "t" lies in an entry that is not there',
    ],
    "a storage that is smaller than claimed": [
      one(rebuild(storage(5), int(0), sizes(1), sizes(1))),
      'tensor "t" needs a storage of 20 bytes, there are 16',
    ],
    "a view beyond the storage": [
      one(rebuild(storage(4), int(1), sizes(4), sizes(1))),
      'tensor "t" reaches to element 5 of a storage of 4',
    ],
    "a stride beyond the storage": [
      one(rebuild(storage(4), int(0), sizes(2, 2), sizes(2 ** 31 - 1, 1))),
      'tensor "t" reaches to element 2147483649 of a storage of 4',
    ],
    "a negative size": [one(rebuild(storage(4), int(0), sizes(-1), sizes(1))), "in a way that torch does not"],
    "a negative offset": [one(rebuild(storage(4), int(-1), sizes(1), sizes(1))), "in a way that torch does not"],
    "fewer strides than sizes": [one(rebuild(storage(4), int(0), sizes(2, 2), sizes(1))), "in a way that torch does"],
    "one number expanded to 8 GiB": [
      one(rebuild(storage(4), int(0), sizes(2 ** 30, 2), sizes(0, 0))),
      /makes the tensors larger than \d+ bytes/.source,
    ],
    "sizes whose product is no number": [
      one(rebuild(storage(4), int(0), sizes(...Array(40).fill(2 ** 31 - 1), 0), sizes(...Array(41).fill(0)))),
      /makes the tensors larger than \d+ bytes/.source,
    ],
    "numbers of a big-endian machine": [
      torchZip(pickle(inDict()), { "a/byteorder": text("big") }),
      "its numbers are not little-endian",
    ],
    "two pickles": [
      torchZip(pickle(inDict()), { "b/data.pkl": pickle(inDict()) }),
      "it has 2 entries <name>/data.pkl, a file of torch.save has one",
    ],
    "no pickle": [serializeStoredZip(new Map([["constants.pkl", pickle()]]), 64), "it has 0 entries <name>/data.pkl"],
    "no zip": [text("hello, world"), 'it is text that begins with "hello, world"'],
  };
  test.each(Object.entries(cases))("%s", async (_, [bytes, message]) => {
    expect(await refusal(bytes)).toMatch(message.includes("\\d") ? new RegExp(message) : message);
  });

  test("a million tensors on one storage, values without end and lists within lists cost neither memory nor stack", async () => {
    const view = rebuild(storage(4), int(0), sizes(2 ** 20), sizes(0));
    const shared = [...Array(20).keys()].map((i): [string, number[]] => [`t${i}`, view]);
    expect(await refusal(torchZip(pickle(inDict(...shared))))).toContain("makes the tensors larger than");
    const values = new Uint8Array(2 ** 20).fill(0x7d);
    values.set([0x80, 2]);
    expect(await refusal(torchZip(values))).toContain("it makes more than 500000 values");
    expect(await refusal(torchZip(pickle(Array(100_000).fill(0x28))))).toContain("it ends with 0 values");
    // A list that holds itself, and one that doubles 60 times: walking through it would never end.
    const doubling = Array.from({ length: 60 }, () => [0x71, 0, 0x68, 0, 0x86]).flat();
    expect(await read(torchZip(pickle([0x5d, ...doubling])))).toEqual(new Map());
    expect(await read(torchZip(pickle([0x5d, 0x71, 0, 0x68, 0, 0x61])))).toEqual(new Map());
  });
});

test("the corpus of torch files is complete", () => {
  const names = readdirSync(files).filter((name) => name.endsWith(".pth"));
  expect(names).toHaveLength(8);
});
