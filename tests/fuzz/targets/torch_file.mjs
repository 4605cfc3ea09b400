/** What is accepted has the numbers that following the strides one by one finds, in place too, and is the same again once written. */
import { deepStrictEqual, strictEqual } from "node:assert";
import {
  elementBytes,
  memorySource,
  openTorchFile,
  placeTorchTensors,
  readTorchTensors,
  serializeTorchFile,
  tensorsOf,
} from "@zerogate/core/formats";
import { filesOf, withoutCrc } from "../corpus.mjs";

/** Half of them without checksums, which would keep every change of the pickle from being read. */
export function corpus() {
  const files = filesOf("packages/core/test/torch_files", /^(dtypes|views|state_dict|parameters|checkpoint)\.pth$/);
  return [...files, ...files.map(withoutCrc)];
}

export async function check(bytes) {
  const file = await openTorchFile(memorySource(bytes, "x"));
  const model = file.root instanceof Map ? file.root.get("model") : undefined;
  const views = tensorsOf(model instanceof Map ? model : file.root);
  const tensors = await readTorchTensors(file, views);
  for (const [name, place] of await placeTorchTensors(file, views)) {
    const numbers = tensors.get(name).bytes;
    // Without a CRC nothing but this says that a tensor that is mapped is the one that is copied.
    if ("begin" in place) strictEqual(Buffer.compare(bytes.subarray(place.begin, place.end), numbers), 0);
  }
  for (const [name, { dtype, shape, bytes: numbers }] of tensors) {
    const { storage, offset, strides } = views.get(name);
    const width = elementBytes[dtype];
    strictEqual(
      numbers.length,
      shape.reduce((a, b) => a * b, width),
    );
    const { begin, bytes: stored } = file.entries.get(`data/${storage.key}`);
    const header = new DataView(bytes.buffer, bytes.byteOffset + begin);
    const data = begin + 30 + header.getUint16(26, true) + header.getUint16(28, true);
    const elements = Math.min(1000, numbers.length / width);
    for (let i = 0; i < elements; i++) {
      let [rest, at] = [i, offset];
      for (let dim = shape.length - 1; dim >= 0; dim--) {
        at += (rest % shape[dim]) * strides[dim];
        rest = Math.floor(rest / shape[dim]);
      }
      if ((at + 1) * width > stored) throw new Error(`${name}: element ${i} lies beyond its storage`);
      const place = data + at * width;
      const isSame =
        Buffer.compare(bytes.subarray(place, place + width), numbers.subarray(i * width, (i + 1) * width)) === 0;
      if (!isSame) throw new Error(`${name}: element ${i} is not what its strides say`);
    }
  }
  const again = await openTorchFile(memorySource(serializeTorchFile(tensors), "y"));
  deepStrictEqual(await readTorchTensors(again, tensorsOf(again.root)), tensors);
}
