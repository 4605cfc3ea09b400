/** What a call into the driver or cuBLASLt returned, with the kernel and the GPU that it was about. */
export class CudaError extends Error {
  override readonly name = "CudaError";
  /** The native function. */
  readonly call: string;
  /** Its status: a CUresult, or a cublasStatus_t if `call` is of cuBLASLt. */
  readonly code: number;

  /** @param what for people: "run swiglu on GPU 0 (NVIDIA H100)". */
  constructor(what: string, call: string, code: number, status: string) {
    super(`Cannot ${what}: ${call} says ${status} (${code})`);
    this.call = call;
    this.code = code;
  }
}
