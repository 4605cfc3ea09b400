/** Blocks against the numbers of the Python package gguf 0.19: test/make_gguf_values.py wrote both files. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { storedDTypes, widen } from "./dtype.ts";
import { type GgufTensor, parseGgufHeader } from "./gguf.ts";
import { decodeBlocks } from "./gguf_blocks.ts";

const read = (name: string) => readFileSync(fileURLToPath(new URL(`../../test/gguf_values/${name}`, import.meta.url)));
const file = read("blocks.gguf");
const expected = JSON.parse(read("blocks.json").toString()) as Record<string, { sha256: string; first: number[] }>;
const tensors = parseGgufHeader(file, file.length, "blocks.gguf")?.tensors ?? new Map<string, GgufTensor>();

test.each(Object.keys(expected))(
  "%s has the numbers of its writer to the bit [M-gguf-q4_0, M-gguf-q4_1, M-gguf-q5_0, M-gguf-q5_1, M-gguf-q8_0, M-gguf-q4_k, M-gguf-q5_k, M-gguf-q6_k, M-gguf-f16, M-gguf-bf16]",
  (name) => {
    const { type, shape, begin, end } = tensors.get(name)!;
    expect(type.name).toBe(name);
    const numbers = new Float32Array(shape.reduce((a, b) => a * b));
    const dtype = type.dtype && storedDTypes.get(type.dtype);
    if (dtype) widen(dtype, file.subarray(begin, end), numbers);
    else decodeBlocks(name, file.subarray(begin, end), numbers);
    const { sha256, first } = expected[name];
    expect([...numbers.subarray(0, 4)]).toEqual(first.map(Math.fround));
    expect(createHash("sha256").update(new Uint8Array(numbers.buffer)).digest("hex")).toBe(sha256);
  },
);
