/** The types of tensors in a GGUF file by their numbers (`enum ggml_type` of ggml.h). */
import { ggufBlocks } from "./gguf_blocks.ts";
import type { TensorDType } from "./safetensors.ts";

/** How a tensor is stored: as numbers of a dtype, or in blocks, for which `dtype` is undefined. */
export interface GgmlType {
  readonly name: string;
  readonly dtype: TensorDType | undefined;
  readonly blockNumbers: number;
  readonly blockBytes: number;
}

const plain = (dtype: TensorDType, blockBytes: number): GgmlType => ({
  name: dtype,
  dtype,
  blockNumbers: 1,
  blockBytes,
});

function blocks(name: string): GgmlType {
  const { numbers, bytes } = ggufBlocks[name];
  return { name, dtype: undefined, blockNumbers: numbers, blockBytes: bytes };
}

/** Those that are read. */
export const ggmlTypes: ReadonlyMap<number, GgmlType> = new Map([
  [0, plain("F32", 4)],
  [1, plain("F16", 2)],
  [2, blocks("Q4_0")],
  [3, blocks("Q4_1")],
  [6, blocks("Q5_0")],
  [7, blocks("Q5_1")],
  [8, blocks("Q8_0")],
  [10, blocks("Q2_K")],
  [11, blocks("Q3_K")],
  [12, blocks("Q4_K")],
  [13, blocks("Q5_K")],
  [14, blocks("Q6_K")],
  [20, blocks("IQ4_NL")],
  [23, blocks("IQ4_XS")],
  [24, plain("I8", 1)],
  [25, plain("I16", 2)],
  [26, plain("I32", 4)],
  [27, plain("I64", 8)],
  [28, plain("F64", 8)],
  [30, plain("BF16", 2)],
]);

/** Names of the others, for messages. */
export const otherGgmlTypes: ReadonlyMap<number, string> = new Map([
  [4, "Q4_2"],
  [5, "Q4_3"],
  [9, "Q8_1"],
  [15, "Q8_K"],
  [16, "IQ2_XXS"],
  [17, "IQ2_XS"],
  [18, "IQ3_XXS"],
  [19, "IQ1_S"],
  [21, "IQ3_S"],
  [22, "IQ2_S"],
  [29, "IQ1_M"],
  [34, "TQ1_0"],
  [35, "TQ2_0"],
  [39, "MXFP4"],
  [40, "NVFP4"],
  [41, "Q1_0"],
]);
