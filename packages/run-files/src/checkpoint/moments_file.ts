/** `optimizer.safetensors`: AdamW's moments, flat as the table of trained parts says. */
import { InputError, type ParameterTable } from "@zerogate/core";
import { parseSafetensors, serializeSafetensors, type Tensor } from "@zerogate/core/formats";
import { type AdamWState, groupCount, tableLength } from "@zerogate/core/training";

/** Of each group of parts, with commas between them. */
const STEPS = "zerogate.adamw_steps";

export function encodeMoments({ m, v, t }: AdamWState): Uint8Array {
  return serializeSafetensors(
    new Map([
      ["m", tensorOf(m)],
      ["v", tensorOf(v)],
    ]),
    { [STEPS]: t.join(",") },
  );
}

const tensorOf = (values: Float32Array): Tensor => ({
  dtype: "F32",
  shape: [values.length],
  bytes: new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
});

/**
 * @param table of the parts that are trained.
 * @param whole of all parts: earlier versions wrote zeros for those that stay as they are, which come back as well.
 * @throws InputError that names `path` if it does not hold the moments of the parts of `table`.
 */
export function decodeMoments(
  bytes: Uint8Array,
  table: ParameterTable,
  path: string,
  whole: ParameterTable = table,
): AdamWState {
  const [length, groups] = [tableLength(table), groupCount(table)];
  const lengths = [length, tableLength(whole)];
  const { tensors, metadata } = parseSafetensors(bytes, path);
  const problems: string[] = [];
  const read = (name: string): Float32Array => {
    const tensor = tensors.get(name);
    if (tensor?.dtype === "F32" && tensor.shape.length === 1 && lengths.includes(tensor.shape[0] ?? -1)) {
      // Copied: the bytes of a file need not lie on a multiple of 4.
      return new Float32Array(new Uint8Array(tensor.bytes).buffer);
    }
    const found = tensor === undefined ? "missing" : `${tensor.dtype} [${tensor.shape.join(", ")}]`;
    problems.push(`${name} is ${found}, expected F32 [${length}]`);
    return new Float32Array();
  };
  const [m, v] = [read("m"), read("v")];
  if (problems.length === 0 && m.length !== v.length) problems.push(`m has ${m.length} numbers, v ${v.length}`);
  const counts = metadata.get(STEPS);
  const t = counts === undefined ? [] : counts.split(",").map(Number);
  if (t.length !== groups || t.some((count) => !Number.isSafeInteger(count) || count < 0)) {
    problems.push(`${STEPS} is ${counts}, expected ${groups === 1 ? "a whole number" : `${groups} whole numbers`}`);
  }
  if (problems.length > 0) throw new InputError(`Cannot read the optimizer state ${path}`, problems);
  return { m, v, t };
}
