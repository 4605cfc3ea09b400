/**
 * MLX, affine, 2, 4 and 8 bits:
 *
 *   weight U32 [out, in · bits / 32], the first code in the lowest bits; scales, biases [out, in / group_size]
 *   w = (code · scale) + bias, each of the two rounded to the dtype of the scales
 *
 * Read from MLX 0.20 to 0.32 (`mlx/fast.cpp`, `mlx/ops.cpp`: affine_dequantize, what it does without a GPU kernel). Codes of 3, 5 and 6
 * bits lie across bytes, and modes other than affine have other numbers: both are refused by the config.
 */
import { narrow, widen } from "../dtype.ts";
import type { Decode } from "../tensor_decoder.ts";
import { expectTensor, floatDTypes, floatsOf, type PackedMap, type Packing, required, scaleDType } from "./packing.ts";

export function mlx(bits: 2 | 4 | 8, groupSize: number): Packing {
  const name = `MLX ${bits} bits`;
  const perByte = 8 / bits;
  const mask = 2 ** bits - 1;
  return {
    name,
    codes: "weight",
    mark: "scales",
    sides: ["scales", "biases"],
    async unpack(map: PackedMap) {
      const [scales, biases] = [required(map, "scales"), required(map, "biases")];
      const [rows = 0, words = 0] = map.codes.shape;
      const columns = (32 / bits) * words;
      const groups = Math.ceil(columns / groupSize);
      expectTensor("weight", map.codes, ["U32"], [rows, words]);
      for (const [side, tensor] of Object.entries({ scales, biases }))
        expectTensor(side, tensor, floatDTypes, [rows, groups]);
      const dtype = scaleDType(scales);
      expectTensor("biases", biases, [scales.dtype], [rows, groups]);
      const open = async (): Promise<Decode> => {
        const [factors, offsets] = [await floatsOf(scales), await floatsOf(biases)];
        return (bytes, out, first) => {
          const groupOf = (i: number) => Math.floor(i / columns) * groups + Math.floor((i % columns) / groupSize);
          for (let i = 0; i < out.length; i++) {
            const code = (bytes[Math.floor(i / perByte)] >> (bits * (i % perByte))) & mask;
            out[i] = code * factors[groupOf(first + i)];
          }
          if (dtype !== "f32") widen(dtype, narrow(out, dtype), out);
          for (let i = 0; i < out.length; i++) out[i] += offsets[groupOf(first + i)];
        };
      };
      return { shape: [rows, columns], dtype, decoder: { name, unitBytes: 1, unitNumbers: perByte, open } };
    },
  };
}
