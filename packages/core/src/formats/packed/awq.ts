/**
 * AWQ, layout `gemm`, 4 bits with zero points:
 *
 *   qweight I32 [in, out / 8], qzeros I32 [groups, out / 8]   nibble j of a word is output 8 i + order[j], order 0 2 4 6 1 3 5 7
 *   scales  [groups, out]
 *   w[n, k] = (code − zero) · scale, in the dtype of the scales
 *
 * Read from AutoAWQ 0.2.9 (`awq/utils/packing_utils.py`: unpack_awq, reverse_awq_order, dequantize_gemm). The layouts gemv and
 * gemv_fast order words otherwise, and are refused by the config.
 */
import { columnDecoder, integers, unpackWords } from "./columns.ts";
import {
  expectTensor,
  floatDTypes,
  floatsOf,
  integersOf,
  type PackedMap,
  type Packing,
  required,
  scaleDType,
} from "./packing.ts";

/** Where the code of output 8 i + j begins in its word. */
const shifts = [0, 4, 1, 5, 2, 6, 3, 7].map((nibble) => 4 * nibble);

/** @param groupSize is how many inputs share scales. @default all */
export function awq(groupSize: number | undefined): Packing {
  return {
    name: "AWQ",
    codes: "qweight",
    mark: "qzeros",
    sides: ["qzeros", "scales"],
    async unpack(map: PackedMap) {
      const { codes } = map;
      const [zeros, scales] = [required(map, "qzeros"), required(map, "scales")];
      const [inputs = 0, words = 0] = codes.shape;
      const outputs = 8 * words;
      const size = groupSize ?? inputs;
      const groups = Math.ceil(inputs / size);
      expectTensor("qweight", codes, ["I32"], [inputs, words]);
      expectTensor("qzeros", zeros, ["I32"], [groups, words]);
      expectTensor("scales", scales, floatDTypes, [groups, outputs]);
      const layout = {
        inputs,
        outputs,
        bits: 4,
        wordOf: integers(inputs, (k) => k * words),
        shiftOf: new Int32Array(inputs),
        wordFor: integers(outputs, (n) => n >> 3),
        shiftFor: integers(outputs, (n) => shifts[n & 7]),
      };
      const decoder = columnDecoder("AWQ", layout, async () => {
        const stored = unpackWords(await integersOf(zeros), 4);
        return {
          scales: await floatsOf(scales),
          zeros: stored.map((_, i) => stored[(i & ~7) + shifts[i & 7] / 4]),
          group: integers(inputs, (k) => Math.floor(k / size)),
        };
      });
      return { shape: [outputs, inputs], dtype: scaleDType(scales), decoder };
    },
  };
}
