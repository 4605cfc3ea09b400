/**
 * Numbers of NVIDIA's headers that are passed or compared, by their names there. numbers.test.ts compares them with the headers
 * if those are on the machine; those of cuBLAS, whose headers come with the toolkit's library only, were also read in public
 * copies of cublasLt.h and cublas_api.h of CUDA 11.4, 12.5 and 13.0, which agree.
 */

/** cuda.h, without CU_. */
export const CU = {
  DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: 16,
  DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: 75,
  DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: 76,
  FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES: 8,
  CTX_SCHED_BLOCKING_SYNC: 4,
  STREAM_NON_BLOCKING: 1,
  STREAM_CAPTURE_MODE_THREAD_LOCAL: 1,
  EVENT_BLOCKING_SYNC: 1,
  EVENT_DISABLE_TIMING: 2,
  MEMHOSTALLOC_PORTABLE: 1,
} as const;

/** cuda.h, without CUDA_ERROR_: what a context does not survive, by the descriptions there, and what a GPU that is gone says. */
export const CUDA_ERROR = {
  DEINITIALIZED: 4,
  DEVICE_UNAVAILABLE: 46,
  ECC_UNCORRECTABLE: 214,
  NVLINK_UNCORRECTABLE: 220,
  CONTAINED: 226,
  ILLEGAL_ADDRESS: 700,
  LAUNCH_TIMEOUT: 702,
  CONTEXT_IS_DESTROYED: 709,
  ASSERT: 710,
  HARDWARE_STACK_ERROR: 714,
  ILLEGAL_INSTRUCTION: 715,
  MISALIGNED_ADDRESS: 716,
  INVALID_ADDRESS_SPACE: 717,
  INVALID_PC: 718,
  LAUNCH_FAILED: 719,
  TENSOR_MEMORY_LEAK: 721,
  MPS_CLIENT_TERMINATED: 810,
  UNKNOWN: 999,
} as const;

/** library_types.h, without CUDA_. */
export const CUDA_TYPE = { R_32F: 0, R_16BF: 14 } as const;

/** cublas_api.h, without CUBLAS_. */
export const CUBLAS = { COMPUTE_32F: 68, OP_N: 0, OP_T: 1, STATUS_NOT_SUPPORTED: 15 } as const;

/** cublasLt.h, without CUBLASLT_. */
export const CUBLASLT = {
  MATMUL_DESC_TRANSA: 3,
  MATMUL_PREF_MAX_WORKSPACE_BYTES: 1,
  MATMUL_PREF_MIN_ALIGNMENT_A_BYTES: 5,
  MATMUL_PREF_MIN_ALIGNMENT_B_BYTES: 6,
  MATMUL_PREF_MIN_ALIGNMENT_C_BYTES: 7,
  MATMUL_PREF_MIN_ALIGNMENT_D_BYTES: 8,
} as const;
