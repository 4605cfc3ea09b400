/** `optimizer.safetensors`: AdamW's moments, flat as the adapter's layout says. */
import { type AdamWState, InputError, parseSafetensors, serializeSafetensors, type Tensor } from "@zerogate/core";

const STEPS = "zerogate.adamw_steps";

export function encodeMoments({ m, v, t }: AdamWState): Uint8Array {
  return serializeSafetensors(
    new Map([
      ["m", tensorOf(m)],
      ["v", tensorOf(v)],
    ]),
    { [STEPS]: String(t) },
  );
}

const tensorOf = (values: Float32Array): Tensor => ({
  dtype: "F32",
  shape: [values.length],
  bytes: new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
});

/** @throws InputError that names `path` where it does not hold the moments of `length` parameters. */
export function decodeMoments(bytes: Uint8Array, length: number, path: string): AdamWState {
  const { tensors, metadata } = parseSafetensors(bytes, path);
  const problems: string[] = [];
  const read = (name: string): Float32Array => {
    const tensor = tensors.get(name);
    if (tensor?.dtype === "F32" && tensor.shape.length === 1 && tensor.shape[0] === length) {
      // Copied: the bytes of a file need not lie on a multiple of 4.
      return new Float32Array(new Uint8Array(tensor.bytes).buffer);
    }
    const found = tensor === undefined ? "missing" : `${tensor.dtype} [${tensor.shape.join(", ")}]`;
    problems.push(`${name} is ${found}, expected F32 [${length}]`);
    return new Float32Array();
  };
  const [m, v] = [read("m"), read("v")];
  const t = Number(metadata.get(STEPS) ?? Number.NaN);
  if (!Number.isSafeInteger(t) || t < 0) problems.push(`${STEPS} is ${metadata.get(STEPS)}, expected a whole number`);
  if (problems.length > 0) throw new InputError(`Cannot read the optimizer state ${path}`, problems);
  return { m, v, t };
}
