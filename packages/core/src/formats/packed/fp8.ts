/**
 * FP8 (E4M3) with scales, as DeepSeek and Qwen publish it and `FineGrainedFP8Config` of transformers writes it:
 *
 *   weight F8_E4M3 [out, in], weight_scale_inv for each block: [⌈out / rows⌉, ⌈in / columns⌉], one for each row, or one for all;
 *   floats, or exponents alone (F8_E8M0, U8: 2^(e − 127))
 *   w = code · scale in float32, then in the model's dtype ("inv" in name alone)
 *
 * Read from transformers 5.18 (`integrations/finegrained_fp8.py`: Fp8Dequantize), and DeepSeek-V3's `inference/fp8_cast_bf16.py`.
 */
import type { DType } from "../../engine/engine.ts";
import { fp8Values } from "../fp8.ts";
import {
  expectTensor,
  floatDTypes,
  floatsOf,
  type PackedMap,
  type PackedTensor,
  type Packing,
  PackingError,
  required,
} from "./packing.ts";
import { evenGroups, type RowLayout, rowDecoder } from "./rows.ts";

/** Rows and columns of a block. */
export type BlockSize = readonly [rows: number, columns: number];

const exponents = ["F8_E8M0", "U8"] as const;

/** @param dtype is that of the model. @param block is `weight_block_size`; undefined: as the scales say. */
export function fp8(dtype: DType, block: BlockSize | undefined): Packing {
  return {
    name: "FP8",
    codes: "weight",
    mark: "weight_scale_inv",
    sides: ["weight_scale_inv"],
    async unpack(map: PackedMap) {
      const scales = required(map, "weight_scale_inv");
      const grid = gridOf(map.codes, scales, block);
      return {
        shape: map.codes.shape,
        dtype,
        decoder: rowDecoder("FP8", grid, async () => ({ scales: await scalesOf(scales) })),
      };
    },
  };
}

/** The layout of codes whose scales are a grid over rows and columns. */
function gridOf(codes: PackedTensor, scales: PackedTensor, block: BlockSize | undefined): RowLayout {
  const [rows = 0, columns = 0] = codes.shape;
  expectTensor("weight", codes, ["F8_E4M3"], [rows, columns]);
  const isOne = scales.shape.every((size) => size === 1);
  const [height = 1, width = 1] = isOne ? [1, 1] : scales.shape;
  const [blockRows, blockColumns] = isOne ? [rows, columns] : (block ?? [rows / height, columns / width]);
  const expected = [Math.ceil(rows / blockRows), Math.ceil(columns / blockColumns)];
  if (!Number.isInteger(blockRows) || !Number.isInteger(blockColumns) || String([height, width]) !== String(expected)) {
    throw new PackingError(
      `weight_scale_inv is [${scales.shape.join(", ")}], which divides [${rows}, ${columns}] in no whole blocks${block ? ` of ${block.join(" · ")}` : ""}`,
    );
  }
  if (![...floatDTypes, ...exponents].includes(scales.dtype)) {
    throw new PackingError(`weight_scale_inv is ${scales.dtype}, needed is F16, BF16, F32, F8_E8M0 or U8`);
  }
  return {
    columns,
    bits: 8,
    values: fp8Values,
    group: evenGroups(columns, blockColumns),
    groups: width,
    rows: blockRows,
  };
}

async function scalesOf(scales: PackedTensor): Promise<Float32Array> {
  if (!exponents.some((dtype) => dtype === scales.dtype)) return floatsOf(scales);
  return Float32Array.from(await scales.read(), (exponent) => (exponent === 255 ? Number.NaN : 2 ** (exponent - 127)));
}
