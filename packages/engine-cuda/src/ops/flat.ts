/**
 * The flat operations of core's table. An operation is its kernel: parameters have the names of the table, `ACT` says which
 * arrays are inner activations, LAUNCH (common.cuh) how many threads there are.
 */
import {
  type DeviceArray,
  type FlatName,
  type FlatOperation,
  type FlatRun,
  lengthOf,
  type Matrix,
  type Sizes,
} from "@zerogate/core/engine";
import { type Launch, signatureOf } from "../kernels.ts";
import { elementwise, type Runtime, rowwise, WIDE } from "../runtime.ts";
import { vector } from "../weights.ts";

/** Before the name of an output that a kernel writes in inner numbers too. */
const ALSO = /^also_/;

export function flatOperation(runtime: Runtime, name: FlatName, operation: FlatOperation): FlatRun {
  const { weights, rows, inputs, maybe } = operation;
  const outputs = Object.entries(operation.outputs).map(([output, shape]) => ({ output, length: lengthOf(shape) }));
  const kernel = name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  const lists = Object.keys(rows);
  let known: ReturnType<typeof signatureOf> | undefined;
  return (values, size) => {
    known ??= signatureOf(kernel);
    const { file, parameters, launch } = known;
    const isInner = (array: string) => parameters.find((parameter) => parameter.name === array)?.isInner ?? false;
    const out = Object.fromEntries(
      outputs.map(({ output, length }) => {
        return [output, runtime.array(length(size), isInner(output) ? runtime.inner : "f32")];
      }),
    );
    const arrays = [...Object.keys(inputs), ...Object.keys(maybe)];
    const [inner, plain] = [arrays.filter(isInner), arrays.filter((array) => !isInner(array))];
    const given = (array: string) => values[array] as DeviceArray | undefined;
    const tables = lists.map((list) => values[list] as Int32Array);
    runtime.as(runtime.inner, inner.map(given), (...innerAt) =>
      runtime.as("f32", plain.map(given), (...plainAt) =>
        runtime.withData(tables, (...tablesAt) => {
          const names = [...inner, ...plain, ...lists];
          const places = new Map([...innerAt, ...plainAt, ...tablesAt].map((place, i) => [names[i], place]));
          const args = parameters.map((parameter) => {
            const made = out[parameter.name];
            if (made) return runtime.at(made);
            const also = out[parameter.name.replace(ALSO, "")];
            if (also) return runtime.copyOf(also);
            if (parameter.name in weights) return vector(runtime, values[parameter.name] as Matrix);
            return places.has(parameter.name) ? places.get(parameter.name) : size[parameter.name];
          });
          runtime.run(file, kernel, launchOf(launch, size), args);
        }),
      ),
    );
    return out;
  };
}

function launchOf({ each, first, second }: ReturnType<typeof signatureOf>["launch"], size: Sizes): Launch {
  const [a = 0, b = 0] = [size[first], size[second]];
  if (each === "rows") return rowwise(a, b);
  return elementwise((a * b) / (each === "several" && b % WIDE === 0 ? WIDE : 1));
}
