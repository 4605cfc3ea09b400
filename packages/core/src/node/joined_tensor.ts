/** A tensor of which several files hold parts: its bytes are put together while it is read, a few rows at a time. */
import { InputError } from "../errors.ts";
import { elementBytes } from "../formats/safetensors.ts";
import { madeFile } from "./made_file.ts";
import type { PlacedTensor } from "./placed_tensor.ts";
import { readFully } from "./regular_file.ts";

/**
 * @param cut is the dimension that the parts are parts of; undefined if each of them is the whole.
 * @throws InputError if they do not fit together.
 */
export function joinedTensor(
  parts: readonly PlacedTensor[],
  cut: 0 | 1 | undefined,
  name: string,
  attempt: string,
): PlacedTensor {
  const [first] = parts;
  const rest = cut === undefined ? undefined : 1 - cut;
  const fits = parts.every(
    ({ dtype, shape }) =>
      dtype === first?.dtype &&
      shape.length === first.shape.length &&
      (rest === undefined
        ? String(shape) === String(first.shape)
        : shape.length === 2 && shape[rest] === first.shape[rest]),
  );
  if (!first || !fits) {
    const found = parts.map(({ dtype, shape }) => `${dtype} [${shape.join(", ")}]`).join(" and ");
    throw new InputError(attempt, `shards have ${name} as ${found}, which is no tensor cut in parts`);
  }
  if (cut === undefined || parts.length === 1) return first;
  const size = elementBytes[first.dtype];
  const total = parts.reduce((sum, { shape }) => sum + (shape[cut] ?? 0), 0);
  const shape = cut === 0 ? [total, first.shape[1] ?? 0] : [first.shape[0] ?? 0, total];
  const end = shape.reduce((product, length) => product * length, size);
  const make = cut === 0 ? stacked(parts) : sideBySide(parts, (shape[1] ?? 0) * size);
  return { dtype: first.dtype, shape, begin: 0, end, file: madeFile(first.file.path, make) };
}

type Make = Parameters<typeof madeFile>[1];

/** One part below the other: what is read ends with the part that it begins in. */
function stacked(parts: readonly PlacedTensor[]): Make {
  return async (begin, end) => {
    let before = 0;
    for (const part of parts) {
      const length = part.end - part.begin;
      if (begin < before + length) return await bytesOf(part, begin - before, Math.min(end - before, length));
      before += length;
    }
    return new Uint8Array();
  };
}

/** Each row is made of a row of every part. */
function sideBySide(parts: readonly PlacedTensor[], rowBytes: number): Make {
  return async (begin, end) => {
    const [first, past] = [Math.floor(begin / rowBytes), Math.ceil(end / rowBytes)];
    const rows = new Uint8Array((past - first) * rowBytes);
    let column = 0;
    for (const part of parts) {
      const width = (part.end - part.begin) / (part.shape[0] ?? 1);
      const own = await bytesOf(part, first * width, past * width);
      for (let row = 0; row < past - first; row++) {
        rows.set(own.subarray(row * width, (row + 1) * width), row * rowBytes + column);
      }
      column += width;
    }
    return rows.subarray(begin - first * rowBytes, end - first * rowBytes);
  };
}

async function bytesOf({ file, begin }: PlacedTensor, from: number, to: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(to - from);
  await readFully(file, bytes, begin + from);
  return bytes;
}
