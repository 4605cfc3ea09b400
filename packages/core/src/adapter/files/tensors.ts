/**
 * The parts of a table as tensors of files, and back, for adapters of any kind. Readers of other programs ignore missing and
 * surplus tensors silently; here every tensor is accounted for.
 */
import type { DType } from "../../engine/engine.ts";
import { InputError } from "../../errors.ts";
import { narrow, widen } from "../../formats/dtype.ts";
import type { Tensor, TensorDType, TensorEntry } from "../../formats/safetensors.ts";
import { type ParameterTable, partNumbers, tableLength } from "../parameters.ts";

const fileDTypes: Readonly<Record<DType, TensorDType>> = { f32: "F32", bf16: "BF16", f16: "F16" };
export const ourDTypes: ReadonlyMap<TensorDType, DType> = new Map([
  ["F32", "f32"],
  ["BF16", "bf16"],
  ["F16", "f16"],
]);

/** Every name that an adapter file holds and every name that it should hold, once. */
export interface AdapterReport {
  readonly matched: readonly string[];
  readonly missing: readonly string[];
  readonly unexpected: readonly string[];
  readonly misShaped: readonly { readonly key: string; readonly found: string; readonly needed: string }[];
}

/**
 * The tensors of an adapter, by file and by their names there. Throws an `InputError` if a number is not finite in
 * `dtype`: f16 ends at 65504.
 */
export function partTensors(
  table: ParameterTable,
  params: Float32Array,
  dtype: DType = "f32",
): Map<string, Map<string, Tensor>> {
  if (params.length !== tableLength(table)) {
    throw new RangeError(`Cannot store the adapter: expected ${tableLength(table)} numbers, got ${params.length}`);
  }
  const problems: string[] = [];
  const files = new Map<string, Map<string, Tensor>>();
  for (const part of table) {
    const { file, fileName, shape } = part;
    const tensors = files.get(file) ?? new Map<string, Tensor>();
    files.set(file, tensors);
    tensors.set(fileName, storedTensor(fileName, shape, partNumbers(part, params), { dtype, problems }));
  }
  if (problems.length > 0) throw new InputError("Cannot store the adapter", problems);
  return files;
}

/** Returns numbers as a file holds them; those that are not finite in `dtype` are added to `problems`. */
export function storedTensor(
  name: string,
  shape: readonly number[],
  values: Float32Array,
  { dtype, problems }: { readonly dtype: DType; readonly problems: string[] },
): Tensor {
  const bytes = narrow(values, dtype);
  const stored = new Float32Array(values.length);
  widen(dtype, bytes, stored);
  const bad = notFinite(stored);
  if (bad > 0) problems.push(`${bad} numbers of ${name} are not finite in ${dtype}, needed are finite ones`);
  return { dtype: fileDTypes[dtype], shape, bytes };
}

/** Compares the tensors of a file, by their names, dtypes and shapes alone, with the parts that should be in it. */
export function compareTensors(
  tensors: ReadonlyMap<string, Pick<TensorEntry, "dtype" | "shape">>,
  parts: ParameterTable,
): AdapterReport {
  const matched: string[] = [];
  const missing: string[] = [];
  const misShaped: AdapterReport["misShaped"][number][] = [];
  for (const { fileName: key, shape } of parts) {
    const tensor = tensors.get(key);
    if (tensor === undefined) missing.push(key);
    else if (ourDTypes.has(tensor.dtype) && String(tensor.shape) === String(shape)) matched.push(key);
    else {
      const found = `${tensor.dtype} [${tensor.shape.join(", ")}]`;
      misShaped.push({ key, found, needed: `F32, F16 or BF16 [${shape.join(", ")}]` });
    }
  }
  const expected = new Set(parts.map(({ fileName }) => fileName));
  const unexpected = [...tensors.keys()].filter((key) => !expected.has(key));
  return { matched, missing, unexpected, misShaped };
}

/** Every tensor of a report that is misshaped and, with `strict`, missing or surplus: one sentence each. */
export function reportProblems({ missing, unexpected, misShaped }: AdapterReport, strict: boolean): string[] {
  const problems = misShaped.map(({ key, found, needed }) => `${key} is ${found}, needed is ${needed}`);
  if (!strict) return problems;
  return [
    ...problems,
    ...missing.map((key) => `${key} is missing`),
    ...unexpected.map((key) => `${JSON.stringify(key).slice(0, 200)} is not part of this adapter`),
  ];
}

/**
 * Sets the numbers of `parts` in the flat vector from the tensors of their file; a tensor that is missing or of another
 * shape leaves them as they are. Throws an `InputError` for numbers that are not finite.
 */
export function readParts(
  tensors: ReadonlyMap<string, Tensor>,
  parts: ParameterTable,
  params: Float32Array,
  path: string,
): void {
  const matched = new Set(compareTensors(tensors, parts).matched);
  const problems: string[] = [];
  for (const part of parts) {
    const tensor = tensors.get(part.fileName);
    const dtype = tensor && ourDTypes.get(tensor.dtype);
    if (!tensor || !dtype || !matched.has(part.fileName)) continue;
    const values = partNumbers(part, params);
    widen(dtype, tensor.bytes, values);
    const bad = notFinite(values);
    if (bad > 0) problems.push(`${part.fileName} holds ${bad} numbers that are not finite`);
  }
  if (problems.length > 0) throw new InputError(`Cannot use the adapter ${path}`, problems);
}

/** How many of these are not finite. */
export function notFinite(values: Float32Array): number {
  let bad = 0;
  for (const value of values) if (!Number.isFinite(value)) bad++;
  return bad;
}
