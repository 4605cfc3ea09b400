/** cuBLASLt: matrix products. Numbers of attributes and types are those of cublasLt.h and library_types.h. */
import { type NativeFunction, openLibrary } from "@zerogate/ffi";
import { candidates } from "./locate.ts";

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

export const TRANSPOSE = { a: 3, b: 4 } as const;
export const PREFERENCE = { workspaceBytes: 1, alignmentOf: { a: 5, b: 6, c: 7, d: 8 } } as const;
export const COMPUTE_F32 = 68;
export const TYPE = { f32: 0, bf16: 14 } as const;
/** sizeof(cublasLtMatmulHeuristicResult_t), and of the algorithm at its begin. */
export const HEURISTIC_BYTES = 96;
export const ALGORITHM_BYTES = 64;

export interface CublasLt {
  readonly path: string;
  readonly version: string;
  readonly calls: { readonly [N in keyof typeof table]: NativeFunction<(typeof table)[N]> };
}

/** @param newest the driver's CUDA. @throws InputError where it is nowhere. */
export function openCublasLt(newest: number): CublasLt {
  const names = [13, 12].filter((major) => major <= newest).map((major) => `libcublasLt.so.${major}`);
  const paths = candidates({ variable: "ZEROGATE_CUBLASLT", names });
  const remedy = `pip install nvidia-cublas, or install the CUDA toolkit ${newest} or older, or name the file in ZEROGATE_CUBLASLT`;
  const library = openLibrary({ name: "cuBLASLt, the library of matrix products", candidates: paths, remedy });
  const calls = library.functions(table);
  return { path: library.path, version: String(calls.cublasLtGetVersion()), calls };
}
