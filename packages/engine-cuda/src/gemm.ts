/**
 * Matrix products by cuBLASLt. Row-major `y[T, N] = x[T, K]·Wᵀ` is, column by column, `y = Wᵀ·x` of a W that lies as [K, N]:
 * the left factor is transposed; `dx[T, K] = dy[T, N]·W` is the same without. Descriptions are made once a shape.
 */
import { CudaError } from "./cuda_error.ts";
import { algorithmChooser, type ProductKey } from "./gemm_choice.ts";
import type { Gpu } from "./gpu.ts";
import type { Enqueue } from "./graphs.ts";
import { ALGORITHM_BYTES, type CublasLt, HEURISTIC_BYTES, TYPE } from "./native/cublaslt.ts";
import { CUBLAS, CUBLASLT } from "./native/numbers.ts";
import type { NumberType, Product } from "./product.ts";

interface Operands {
  readonly y: bigint;
  readonly x: bigint;
  readonly weight: bigint;
  /** Added to the product; lies as `y` does. */
  readonly residual: bigint | undefined;
}

export interface Products {
  /** Enqueues `y = x·W (+ residual)`. */
  run(product: Product, operands: Operands): void;
}

export interface ProductOptions {
  /** Folder of remembered choices; undefined takes the library's first choice. */
  readonly choices: string | undefined;
  /** Whether calls go into a graph at the moment: then the library cannot be asked for algorithms. */
  readonly isCapturing: () => boolean;
  /** Device memory for the algorithms. */
  readonly workspace: { readonly address: bigint; readonly bytes: number };
}

/** A product that is ready to run: native descriptions and the chosen algorithm. */
interface Plan {
  readonly description: bigint;
  readonly layouts: readonly [a: bigint, b: bigint, d: bigint];
  readonly algorithm: Uint8Array;
}

const MOST_ALGORITHMS = 8;
const ALIGNMENTS = [
  CUBLASLT.MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
  CUBLASLT.MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
  CUBLASLT.MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
  CUBLASLT.MATMUL_PREF_MIN_ALIGNMENT_D_BYTES,
];
const [ONE, ZERO] = [Float32Array.of(1), Float32Array.of(0)];

export function createProducts(
  gpu: Gpu,
  library: CublasLt,
  enqueue: Enqueue,
  { choices, workspace, isCapturing }: ProductOptions,
): Products {
  const plans = new Map<string, Plan>();
  const native: Native = { gpu, calls: library.calls, handle: openHandle(gpu, library), workspace };
  const chooser = choices === undefined ? undefined : algorithmChooser(gpu, library, choices);

  function prepare(product: Product, operands: Operands, alignment: number): Plan {
    if (isCapturing())
      throw new Error(`Cannot prepare a product on ${gpu.title}: a graph is being captured, run it once before`);
    const plan = describe(native, product);
    const key: ProductKey = { ...product, alignment, hasResidual: operands.residual !== undefined };
    const run = (algorithm: Uint8Array) => multiply(native, product, { ...plan, algorithm }, operands);
    const algorithm = chooser?.(key, () => proposals(native, product, plan, alignment), run);
    if (algorithm && isRight(native, plan, algorithm)) return { ...plan, algorithm };
    return { ...plan, algorithm: proposals(native, product, plan, alignment)[0] as Uint8Array };
  }

  return {
    run(product, operands) {
      const { T, N, K, transposed, input, output } = product;
      const { y, x, weight, residual } = operands;
      const alignment = alignmentOf(
        [y, x, weight, residual ?? y],
        input === "bf16" ? [N, K].map((n) => 2 * n) : [N, K].map((n) => 4 * n),
      );
      const key = [T, N, K, transposed, input, output, residual !== undefined, alignment].join();
      let plan = plans.get(key);
      if (!plan) plans.set(key, (plan = prepare(product, operands, alignment)));
      const ready = plan;
      enqueue(
        () => [key, y, x, weight, residual].join(" "),
        () => multiply(native, product, ready, operands),
      );
    },
  };
}

/** What every call of the library needs. */
interface Native {
  readonly gpu: Gpu;
  readonly calls: CublasLt["calls"];
  readonly handle: bigint;
  readonly workspace: ProductOptions["workspace"];
}

type Description = Omit<Plan, "algorithm">;

function openHandle(gpu: Gpu, { calls }: CublasLt): bigint {
  return made((out) => {
    const code = calls.cublasLtCreate(out);
    if (code === 0) return;
    gpu.synchronize("open cuBLASLt");
    const reason = calls.cublasLtGetStatusString(code) ?? "nothing";
    throw new CudaError(`open cuBLASLt on ${gpu.title}`, "cublasLtCreate", code, reason);
  });
}

function check({ gpu, calls }: Native, code: number, call: string, product: Product): void {
  if (code === 0) return;
  const what = `multiply [${product.T}, ${product.K}] by [${product.K}, ${product.N}] in ${product.input}`;
  // A fault of work before it is reported by whatever comes next: the library names none of the driver's, the driver does.
  gpu.synchronize(what);
  throw new CudaError(`${what} on ${gpu.title}`, call, code, calls.cublasLtGetStatusString(code) ?? "nothing");
}

/** Returns the handle that a call writes. */
function made(make: (out: BigUint64Array) => void): bigint {
  const out = new BigUint64Array(8);
  make(out);
  return out[0] ?? 0n;
}

/** Makes the native descriptions of a product and its operands. */
function describe(native: Native, product: Product): Description {
  const { calls } = native;
  const { T, N, K, transposed, input, output } = product;
  const description = made((out) => {
    const code = calls.cublasLtMatmulDescCreate(out, CUBLAS.COMPUTE_32F, TYPE.f32);
    check(native, code, "cublasLtMatmulDescCreate", product);
  });
  const operation = Int32Array.of(transposed ? CUBLAS.OP_T : CUBLAS.OP_N);
  const code = calls.cublasLtMatmulDescSetAttribute(description, CUBLASLT.MATMUL_DESC_TRANSA, operation, 4n);
  check(native, code, "cublasLtMatmulDescSetAttribute", product);
  const layout = (type: NumberType, rows: number, columns: number) =>
    made((out) => {
      const status = calls.cublasLtMatrixLayoutCreate(out, TYPE[type], BigInt(rows), BigInt(columns), BigInt(rows));
      check(native, status, "cublasLtMatrixLayoutCreate", product);
    });
  const weight = transposed ? layout(input, K, N) : layout(input, N, K);
  return { description, layouts: [weight, layout(input, K, T), layout(output, N, T)] };
}

/** Returns the algorithms that the library proposes, the best first, as their opaque bytes. */
function proposals(native: Native, product: Product, plan: Description, alignment: number): Uint8Array[] {
  const { calls, handle, workspace } = native;
  const preference = made((out) =>
    check(native, calls.cublasLtMatmulPreferenceCreate(out), "cublasLtMatmulPreferenceCreate", product),
  );
  const set = (attribute: number, value: BigUint64Array | Uint32Array) => {
    const code = calls.cublasLtMatmulPreferenceSetAttribute(preference, attribute, value, BigInt(value.byteLength));
    check(native, code, "cublasLtMatmulPreferenceSetAttribute", product);
  };
  set(CUBLASLT.MATMUL_PREF_MAX_WORKSPACE_BYTES, BigUint64Array.of(BigInt(workspace.bytes)));
  for (const attribute of ALIGNMENTS) set(attribute, Uint32Array.of(alignment));
  const [results, count] = [new Uint8Array(MOST_ALGORITHMS * HEURISTIC_BYTES), new Int32Array(16)];
  const {
    description,
    layouts: [a, b, d],
  } = plan;
  const wanted = [preference, MOST_ALGORITHMS, results, count] as const;
  const code = calls.cublasLtMatmulAlgoGetHeuristic(handle, description, a, b, d, d, ...wanted);
  calls.cublasLtMatmulPreferenceDestroy(preference);
  check(native, code, "cublasLtMatmulAlgoGetHeuristic", product);
  const found = Array.from({ length: count[0] ?? 0 }, (_, i) =>
    results.slice(i * HEURISTIC_BYTES, i * HEURISTIC_BYTES + ALGORITHM_BYTES),
  );
  if (found.length === 0) check(native, CUBLAS.STATUS_NOT_SUPPORTED, "cublasLtMatmulAlgoGetHeuristic", product);
  return found;
}

/** Whether an algorithm chosen at another number of rows is right for this one too. */
function isRight({ calls, handle, workspace }: Native, plan: Description, algorithm: Uint8Array): boolean {
  const result = new Uint8Array(HEURISTIC_BYTES);
  const {
    description,
    layouts: [a, b, d],
  } = plan;
  const code = calls.cublasLtMatmulAlgoCheck(handle, description, a, b, d, d, algorithm, result);
  return code === 0 && new DataView(result.buffer).getBigUint64(ALGORITHM_BYTES, true) <= BigInt(workspace.bytes);
}

function multiply(native: Native, product: Product, plan: Plan, { y, x, weight, residual }: Operands): void {
  const {
    description,
    layouts: [a, b, d],
    algorithm,
  } = plan;
  const { calls, handle, gpu } = native;
  const { address, bytes } = native.workspace;
  const [beta, added] = residual === undefined ? [ZERO, y] : [ONE, residual];
  const factors = [ONE, weight, a, x, b] as const;
  const space = [algorithm, address, BigInt(bytes), gpu.stream] as const;
  const code = calls.cublasLtMatmul(handle, description, ...factors, beta, added, d, y, d, ...space);
  check(native, code, "cublasLtMatmul", product);
}

/** The largest power of two, at most 256, that divides all addresses and pitches (which algorithms may load at once). */
function alignmentOf(addresses: readonly bigint[], pitches: readonly number[]): number {
  const bits =
    addresses.reduce((all, address) => all | Number(address & 255n), 256) | pitches.reduce((all, n) => all | n, 0);
  return bits & -bits;
}
