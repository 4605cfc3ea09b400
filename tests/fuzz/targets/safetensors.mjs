/** What is accepted has the tensors that a plain reading of the header finds, and is the same again once written. */
import { deepStrictEqual, strictEqual } from "node:assert";
import { elementBytes, parseSafetensors, serializeSafetensors } from "@zerogate/core/formats";
import { filesOf } from "../corpus.mjs";

export const corpus = () => [
  ...filesOf("packages/core/test/torch_files", /^(dtypes|parameters|views)\.safetensors$/),
  ...filesOf("tests/fuzz/corpus/safetensors"),
];

export function check(bytes) {
  const { tensors, metadata } = parseSafetensors(bytes, "x");
  const headerBytes = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const { __metadata__: about = {}, ...entries } = JSON.parse(
    new TextDecoder().decode(bytes.subarray(8, 8 + headerBytes)),
  );
  deepStrictEqual([...tensors.keys()].toSorted(), Object.keys(entries).toSorted());
  deepStrictEqual(Object.fromEntries(metadata), about);
  let total = 0;
  for (const [name, { dtype, shape, data_offsets }] of Object.entries(entries)) {
    const tensor = tensors.get(name);
    strictEqual(tensor.dtype, dtype);
    deepStrictEqual(tensor.shape, shape);
    strictEqual(
      tensor.bytes.length,
      shape.reduce((a, b) => a * b, elementBytes[dtype]),
    );
    const [begin, end] = data_offsets.map((offset) => 8 + headerBytes + offset);
    strictEqual(Buffer.compare(tensor.bytes, bytes.subarray(begin, end)), 0);
    total += tensor.bytes.length;
  }
  strictEqual(8 + headerBytes + total, bytes.length);
  const again = parseSafetensors(serializeSafetensors(tensors, Object.fromEntries(metadata)), "y");
  for (const [name, { dtype, shape, bytes: numbers }] of tensors) {
    const other = again.tensors.get(name);
    deepStrictEqual([other.dtype, other.shape, Buffer.compare(other.bytes, numbers)], [dtype, shape, 0]);
  }
  strictEqual(again.tensors.size, tensors.size);
}
