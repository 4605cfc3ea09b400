/** What is accepted lies within the file: every tensor has the bytes of its blocks, none overlaps another, and its numbers come out. */
import { ok, strictEqual } from "node:assert";
import { decodeBlocks, parseGgufHeader } from "@zerogate/core/formats";
import { filesOf } from "../corpus.mjs";

export const corpus = () => filesOf("packages/core/test/gguf_values", /\.gguf$/);

export function check(bytes) {
  // As a file is read: a part of it first, and then all.
  const header =
    parseGgufHeader(bytes.subarray(0, 512), bytes.length, "x") ?? parseGgufHeader(bytes, bytes.length, "x");
  let last = 0;
  for (const { type, shape, begin, end } of header.tensors.values()) {
    const numbers = shape.reduce((product, size) => product * size, 1);
    strictEqual((end - begin) * type.blockNumbers, numbers * type.blockBytes);
    ok(begin >= last && end <= bytes.length);
    last = end;
    if (type.dtype === undefined) decodeBlocks(type.name, bytes.subarray(begin, end), new Float32Array(numbers));
  }
  for (const value of header.metadata.values())
    if (typeof value === "object") strictEqual(value.values().length, value.length);
}
