/** Linear maps: products of cuBLASLt, biases added after them. */
import type { DeviceArray, Engine, Matrix } from "@zerogate/core/engine";
import { type Runtime, rowwise } from "../runtime.ts";
import { vector, withFactor } from "../weights.ts";

/** What is added to a residual stream, or read by the host, is float32; everything else is inner. */
const outputType = (runtime: Runtime, residual: DeviceArray | undefined, toRead: boolean | undefined) =>
  residual || toRead ? "f32" : runtime.inner;

export function linear(
  runtime: Runtime,
  x: DeviceArray,
  weight: Matrix,
  { T, rows: [from, to] = [0, weight.rows], bias, residual, toRead }: Parameters<Engine["linear"]>[2],
): DeviceArray {
  const [N, K] = [to - from, weight.columns];
  const output = outputType(runtime, residual, toRead);
  const y = runtime.array(T * N, output);
  runtime.as(runtime.inner, [x], (at = 0n) =>
    runtime.as("f32", [residual], (past) =>
      withFactor(runtime, weight, [from, to], (factor) =>
        runtime.multiply(
          { T, N, K, transposed: true, input: runtime.inner, output },
          { y: runtime.at(y), x: at, weight: factor, residual: past },
        ),
      ),
    ),
  );
  if (bias) runtime.run("rows", `add_bias_${output}`, rowwise(T, N), [runtime.at(y), vector(runtime, bias, from), N]);
  return y;
}

export function linearBackward(
  runtime: Runtime,
  dy: DeviceArray,
  weight: Matrix,
  { T, rows: [from, to] = [0, weight.rows], residual, toRead }: Parameters<Engine["linearBackward"]>[2],
): DeviceArray {
  const [N, K] = [weight.columns, to - from];
  const output = outputType(runtime, residual, toRead);
  const dx = runtime.array(T * N, output);
  runtime.as(runtime.inner, [dy], (at = 0n) =>
    runtime.as("f32", [residual], (past) =>
      withFactor(runtime, weight, [from, to], (factor) =>
        runtime.multiply(
          { T, N, K, transposed: false, input: runtime.inner, output },
          { y: runtime.at(dx), x: at, weight: factor, residual: past },
        ),
      ),
    ),
  );
  return dx;
}
