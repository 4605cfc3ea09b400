/** Reads a tensor through its decoder: its numbers go where those of a file go that holds them as they are. */
import type { DType } from "../engine/engine.ts";
import { bytesPerElement, narrow } from "../formats/dtype.ts";
import type { Decode, TensorDecoder } from "../formats/tensor_decoder.ts";
import type { FileRange } from "./parallel_read.ts";

/** Numbers that are decoded at once, if their unit is not larger. */
const PIECE = 2 ** 18;

/**
 * @param packed is the tensor in its file; `count` is how many numbers it has, and `dtype` holds them exactly.
 * @param plain is the range as it would be if the file held them in that dtype.
 */
export function decodedRange(
  packed: Pick<FileRange, "file" | "begin" | "end"> & {
    readonly decoder: TensorDecoder;
    readonly count: number;
    readonly dtype: DType;
  },
  plain: FileRange,
): FileRange {
  const { file, begin, end, decoder, count, dtype } = packed;
  const { unitBytes, unitNumbers } = decoder;
  const size = bytesPerElement[dtype];
  const isWhole = unitNumbers === count;
  const rowNumbers = (plain.unit ?? size) / size;
  const step = isWhole ? rowNumbers : leastCommonMultiple(unitNumbers, rowNumbers);
  const deliver = async (numbers: Float32Array, first: number) => {
    const bytes = dtype === "f32" ? new Uint8Array(numbers.buffer) : narrow(numbers, dtype);
    const place = plain.place?.(first * size, bytes.length);
    place?.set(bytes);
    await plain.onChunk?.(place ?? bytes, first * size);
  };
  let opening: Promise<Decode> | undefined;
  let missing = end - begin;
  return {
    file,
    begin,
    end,
    unit: isWhole ? end - begin : (step / unitNumbers) * unitBytes,
    async onChunk(bytes, from) {
      const decode = await (opening ??= decoder.open());
      const begins = (from / unitBytes) * unitNumbers;
      const numbers = (bytes.length / unitBytes) * unitNumbers;
      const most = step * Math.max(1, Math.floor(PIECE / step));
      for (let done = 0; done < numbers; done += most) {
        const out = new Float32Array(Math.min(most, numbers - done));
        decode(isWhole ? bytes : bytes.subarray((done / unitNumbers) * unitBytes), out, begins + done);
        await deliver(out, begins + done);
      }
      missing -= bytes.length;
      if (missing === 0) opening = undefined; // its scales are not needed any more
    },
  };
}

function leastCommonMultiple(a: number, b: number): number {
  let [divisor, rest] = [a, b];
  while (rest > 0) [divisor, rest] = [rest, divisor % rest];
  return (a / divisor) * b;
}
