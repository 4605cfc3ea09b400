/** Flat operations of an engine, made from their rows in operations.ts. */
import type { DeviceArray, Engine, Matrix } from "./engine.ts";
import type { FlatName, FlatOperation, Shape, Sizes } from "./operation_rows.ts";
import { flatOperations } from "./operations.ts";

/** Weights, rows, inputs and what may be left out, by their names in the table. */
export type FlatValues = Readonly<Record<string, DeviceArray | Matrix | Int32Array | undefined>>;

/** Runs one operation; returns its outputs by their names in the table. */
export type FlatRun = (values: FlatValues, size: Sizes) => Readonly<Record<string, DeviceArray>>;

/** Sizes that only a list of rows has are added, so that `size` has every letter of the shapes. */
export type FlatCompiler = (name: FlatName, operation: FlatOperation) => FlatRun;

/** The methods of an engine for all flat operations, given what runs one. */
export function flatEngine(compile: FlatCompiler): Pick<Engine, FlatName> {
  const methods = Object.entries(flatOperations).map(([name, operation]) => {
    return [name, method(operation, compile(name as FlatName, operation))];
  });
  return Object.fromEntries(methods) as Pick<Engine, FlatName>; // operations.ts checks the rows against the signatures
}

/** The length that a shape means, prepared: a function of the sizes. */
export function lengthOf(shape: Shape): (size: Sizes) => number {
  const letters = Array.from(shape).filter((factor) => !isDigit(factor));
  const digits = Array.from(shape)
    .filter(isDigit)
    .reduce((product, digit) => product * Number(digit), 1);
  const [first, second] = letters;
  if (first === undefined || letters.length > 2)
    throw new RangeError(`Cannot use the shape ${shape}: one or two sizes are needed`);
  if (second === undefined) return (size) => digits * size[first];
  return (size) => digits * size[first] * size[second];
}

const isDigit = (factor: string) => factor >= "0" && factor <= "9";

function byName(names: FlatOperation["arguments"], args: readonly unknown[]): FlatValues {
  const values: Record<string, DeviceArray | Matrix | Int32Array | undefined> = {};
  for (let i = 0; i < names.length; i++) {
    const name = names[i];
    if (typeof name === "string") values[name] = args[i] as DeviceArray;
    else for (const field of name) values[field] = (args[i] as FlatValues)[field];
  }
  return values;
}

/** The method's own arguments to values by name, and its outputs to what it returns. */
function method(operation: FlatOperation, run: FlatRun): (...args: readonly unknown[]) => unknown {
  const { arguments: names } = operation;
  const sizeAt = names.length;
  const measured = Object.entries(operation.rows).filter(([, { shape }]) => !(shape in operation.sizes));
  const outputs = Object.keys(operation.outputs);
  const [only] = outputs;
  const isSingle = outputs.length === 1;
  const isByName = sizeAt === 1 && typeof names[0] !== "string";
  return (...args) => {
    const values = isByName ? (args[0] as FlatValues) : byName(names, args);
    let size = args[sizeAt] as Sizes;
    operation.check?.(size);
    for (const [list, { shape }] of measured) size = { ...size, [shape]: (values[list] as Int32Array).length };
    const out = run(values, size);
    return isSingle ? out[only] : out;
  };
}
