/** cuBLASLt: matrix products. Numbers are those of numbers.ts. */
import { type NativeFunction, openLibrary } from "@zerogate/ffi";
import { candidates } from "./locate.ts";
import { CUDA_TYPE } from "./numbers.ts";

const table = {
  cublasLtGetVersion: { result: "size", parameters: [] },
  cublasLtGetStatusString: { result: "string", parameters: ["int32"] },
  cublasLtCreate: { result: "int32", parameters: ["pointer"] },
  cublasLtMatmulDescCreate: { result: "int32", parameters: ["pointer", "int32", "int32"] },
  cublasLtMatmulDescSetAttribute: { result: "int32", parameters: ["uint64", "int32", "pointer", "size"] },
  cublasLtMatrixLayoutCreate: { result: "int32", parameters: ["pointer", "int32", "uint64", "uint64", "int64"] },
  cublasLtMatmulPreferenceCreate: { result: "int32", parameters: ["pointer"] },
  cublasLtMatmulPreferenceSetAttribute: { result: "int32", parameters: ["uint64", "int32", "pointer", "size"] },
  cublasLtMatmulPreferenceDestroy: { result: "int32", parameters: ["uint64"] },
  cublasLtMatmulAlgoGetHeuristic: {
    result: "int32",
    parameters: ["uint64", "uint64", "uint64", "uint64", "uint64", "uint64", "uint64", "int32", "pointer", "pointer"],
  },
  cublasLtMatmulAlgoCheck: {
    result: "int32",
    parameters: ["uint64", "uint64", "uint64", "uint64", "uint64", "uint64", "pointer", "pointer"],
  },
  /** handle, description, α, A, B, β, C, D, algorithm, workspace, its bytes, stream. */
  cublasLtMatmul: {
    result: "int32",
    parameters: [
      "uint64",
      "uint64",
      "pointer",
      "uint64",
      "uint64",
      "uint64",
      "uint64",
      "pointer",
      "uint64",
      "uint64",
      "uint64",
      "uint64",
      "pointer",
      "uint64",
      "size",
      "uint64",
    ],
  },
} as const;

export const TYPE: { readonly f32: 0; readonly bf16: 14 } = { f32: CUDA_TYPE.R_32F, bf16: CUDA_TYPE.R_16BF };
/** sizeof(cublasLtMatmulHeuristicResult_t), and of the algorithm at its begin. */
export const HEURISTIC_BYTES = 96;
export const ALGORITHM_BYTES = 64;

export interface CublasLt {
  readonly path: string;
  readonly version: string;
  readonly calls: { readonly [N in keyof typeof table]: NativeFunction<(typeof table)[N]> };
}

/** @param newest the driver's CUDA. @throws InputError if it is nowhere. */
export function openCublasLt(newest: number): CublasLt {
  const names = [13, 12].filter((major) => major <= newest).map((major) => `libcublasLt.so.${major}`);
  const paths = candidates({ variable: "ZEROGATE_CUBLASLT", names });
  const remedy = `pip install nvidia-cublas, or install the CUDA toolkit ${newest} or older, or name the file in ZEROGATE_CUBLASLT`;
  const library = openLibrary({ name: "cuBLASLt, the library of matrix products", candidates: paths, remedy });
  const calls = library.functions(table);
  return { path: library.path, version: String(calls.cublasLtGetVersion()), calls };
}
