/**
 * compressed-tensors (llm-compressor, vLLM), formats pack-quantized, int-quantized, float-quantized and naive-quantized:
 *
 *   weight_packed I32 [out, in · bits / 32] of codes less 2^(bits − 1), the first in the lowest bits, weight_shape [2]; or
 *   weight I8 or F8_E4M3 [out, in]
 *   weight_scale [out, groups], [⌈out / rows⌉, ⌈in / columns⌉], [out, 1] or [1]
 *   weight_zero_point as the scales; of packed maps packed too, along out: I32 [out · bits / 32, groups]; weight_g_idx I32 [in]
 *   w = (code − zero) · scale, in the dtype of the scales
 *
 * Read from compressed-tensors 0.12 to 0.20 (`compressors/pack_quantized/base.py` and `helpers.py`: unpack_from_int32,
 * `compressors/naive_quantized/base.py`, `quantization/lifecycle/forward.py`: _dequantize). What is done to activations is not: the
 * base computes with the numbers that its weights stand for.
 */
import { fp8Values } from "../fp8.ts";
import { unpackWords } from "./columns.ts";
import {
  expectTensor,
  floatDTypes,
  floatsOf,
  integersOf,
  type PackedMap,
  type PackedTensor,
  type Packing,
  PackingError,
  required,
  scaleDType,
  type UnpackedMap,
} from "./packing.ts";
import { codeValues, evenGroups, rowDecoder, signedBytes } from "./rows.ts";

const sides = ["weight_scale", "weight_zero_point", "weight_g_idx", "weight_shape"];

/** Maps whose codes are packed into words. */
export const packQuantized: Packing = {
  name: "compressed-tensors",
  codes: "weight_packed",
  mark: "weight_scale",
  sides,
  async unpack(map: PackedMap) {
    const shape = [...(await integersOf(required(map, "weight_shape")))];
    const [rows = 0, columns = 0] = shape;
    const [packedRows = 0, words = 0] = map.codes.shape;
    const bits = (32 * words) / columns;
    if (shape.length !== 2 || packedRows !== rows || (bits !== 4 && bits !== 8) || rows < 1) {
      throw new PackingError(
        `weight_packed is [${map.codes.shape.join(", ")}] and weight_shape [${shape.join(", ")}], read are 4 and 8 bits that fill their words`,
      );
    }
    expectTensor("weight_packed", map.codes, ["I32"], [rows, words]);
    return unpackRows(map, { rows, columns, bits, values: codeValues(bits, 2 ** (bits - 1)), isPacked: true });
  },
};

/** Maps whose codes are bytes. */
export const byteQuantized: Packing = {
  name: "compressed-tensors",
  codes: "weight",
  mark: "weight_scale",
  sides,
  async unpack(map: PackedMap) {
    const [rows = 0, columns = 0] = map.codes.shape;
    expectTensor("weight", map.codes, ["I8", "F8_E4M3"], [rows, columns]);
    const values = map.codes.dtype === "I8" ? signedBytes : fp8Values;
    return unpackRows(map, { rows, columns, bits: 8, values, isPacked: false });
  },
};

interface Codes {
  readonly rows: number;
  readonly columns: number;
  readonly bits: number;
  readonly values: Float32Array;
  readonly isPacked: boolean;
}

async function unpackRows(map: PackedMap, codes: Codes): Promise<UnpackedMap> {
  const { rows, columns, bits, values, isPacked } = codes;
  const scales = required(map, "weight_scale");
  const [zeros, index] = [map.side("weight_zero_point"), map.side("weight_g_idx")];
  const grid = gridOf(scales, rows, columns);
  const { height, width } = grid;
  if (zeros) {
    const packed = isPacked && height === rows;
    const expected = packed ? [Math.ceil((rows * bits) / 32), width] : scales.shape;
    expectTensor("weight_zero_point", zeros, packed ? ["I32"] : ["I8", ...floatDTypes, "F8_E4M3"], expected);
  }
  if (index) expectTensor("weight_g_idx", index, ["I32", "I64"], [columns]);
  const group = index ? await integersOf(index) : evenGroups(columns, grid.columns);
  if (group.some((one) => one < 0 || one >= width))
    throw new PackingError(`weight_g_idx names a group beyond the ${width} there are`);
  const layout = { columns, bits, values, group, groups: width, rows: grid.rows };
  const decoder = rowDecoder("compressed-tensors", layout, async () => ({
    scales: await floatsOf(scales),
    zeros: zeros && (await zerosOf(zeros, { rows: height, groups: width, bits })),
  }));
  return { shape: [rows, columns], dtype: scaleDType(scales), decoder };
}

/** Rows and columns that share a scale, and how many scales there are of both. */
function gridOf(
  scales: PackedTensor,
  rows: number,
  columns: number,
): Record<"height" | "width" | "rows" | "columns", number> {
  if (!floatDTypes.includes(scales.dtype))
    throw new PackingError(`weight_scale is ${scales.dtype}, needed is F16, BF16 or F32`);
  const [height = 1, width = 1] = scales.shape;
  const grid = { height, width, rows: Math.ceil(rows / height), columns: Math.ceil(columns / width) };
  const isWhole = Math.ceil(rows / grid.rows) === height && Math.ceil(columns / grid.columns) === width;
  if (scales.shape.length <= 2 && isWhole && height <= rows && width <= columns) return grid;
  throw new PackingError(
    `weight_scale is [${scales.shape.join(", ")}], which divides [${rows}, ${columns}] in no even groups`,
  );
}

async function zerosOf(
  tensor: PackedTensor,
  { rows, groups, bits }: { readonly rows: number; readonly groups: number; readonly bits: number },
): Promise<Float32Array> {
  if (tensor.dtype === "I8") return Float32Array.from(await tensor.read(), (byte) => signedBytes[byte]);
  if (tensor.dtype === "F8_E4M3") return Float32Array.from(await tensor.read(), (byte) => fp8Values[byte]);
  if (tensor.dtype !== "I32") return floatsOf(tensor);
  const perWord = 32 / bits;
  const codes = unpackWords(await integersOf(tensor), bits); // of one word: rows of one group
  return Float32Array.from({ length: rows * groups }, (_, i) => {
    const [row, column] = [Math.floor(i / groups), i % groups];
    const word = Math.floor(row / perWord) * groups + column;
    return codes[word * perWord + (row % perWord)] - 2 ** (bits - 1);
  });
}
