/** Flat operations over the WebAssembly kernels: their arguments, checked by core's table, to the words of a kernel's struct. */
import { type FlatName, type FlatOperation, flatOperations, lengthOf, type Sizes } from "@zerogate/core/engine";
import type { Arguments } from "./wasm_arguments.ts";
import type { WasmMemory } from "./wasm_memory.ts";

/** Reads what comes next and writes its words. Knows the sizes that were read before it. */
type Reader = (args: Arguments, size: Record<string, number>, words: Float64Array) => void;

/** One field of the struct: how many words it has, and whether they are a float32. */
interface Field {
  readonly words: number;
  readonly isFloat?: true;
  readonly readAt: (at: number) => Reader;
}

/** What runs each flat operation, by name. */
export function flatKernels(memory: WasmMemory): Readonly<Record<FlatName, (args: Arguments) => number>> {
  const { kernels, operations } = memory;
  const begin = kernels.arguments() / 4;
  let [ints, floats] = [new Int32Array(), new Float32Array()];
  const runs = Object.entries<FlatOperation>(flatOperations).map(([name, operation]) => {
    const place = operations.findIndex(([own]) => own === name);
    const fields = fieldsOf(operation);
    const starts = fields.map((_, i) => fields.slice(0, i).reduce((sum, field) => sum + field.words, 0));
    const readers = fields.map(({ readAt }, i) => readAt(starts[i] ?? 0));
    const numbers = starts.filter((_, i) => fields[i]?.isFloat);
    const words = new Float64Array(fields.reduce((sum, field) => sum + field.words, 0));
    const run = (args: Arguments) => {
      const size: Record<string, number> = {};
      for (const read of readers) read(args, size, words);
      if (ints.length === 0) {
        const { buffer } = kernels.memory; // another one once the memory has grown, which empties views of the old one
        [ints, floats] = [new Int32Array(buffer), new Float32Array(buffer)];
      }
      for (let i = 0; i < words.length; i++) ints[begin + i] = words[i] ?? 0;
      for (const at of numbers) floats[begin + at] = words[at] ?? 0;
      return kernels.run(place);
    };
    return [name, run];
  });
  return Object.fromEntries(runs) as Record<FlatName, (args: Arguments) => number>;
}

/** In the order of the binary's fields. */
function fieldsOf({ sizes, numbers, weights, rows, outputs, inputs, maybe }: FlatOperation): readonly Field[] {
  const one = (read: (args: Arguments, size: Record<string, number>) => number): Field => ({
    words: 1,
    readAt: (at) => (args, size, words) => void (words[at] = read(args, size)),
  });
  const arrays = (shapes: Readonly<Record<string, string>>, read: "array" | "arrayOrNull") =>
    Object.entries(shapes).map(([name, shape]) => {
      const length: (size: Sizes) => number = lengthOf(shape);
      return one((args, size) => args[read](name, length(size)));
    });
  return [
    ...Object.entries(sizes).map(([name, least]) => one((args, size) => (size[name] = args.size(name, least)))),
    ...numbers.map((name): Field => ({ ...one((args) => args.number(name)), isFloat: true })),
    ...Object.entries(weights).map(
      ([name, letter]): Field => ({
        words: 5, // the last: no scales
        readAt: (at) => (args, size, words) => {
          [words[at], words[at + 1], words[at + 2], words[at + 3]] = args.vector(name, letter, size[letter] ?? 0);
        },
      }),
    ),
    ...Object.entries(rows).flatMap(([name, { shape, below, least }]) => [
      one((args, size) => {
        const list = args.rows(name, least, size[below] ?? 0, size[shape]);
        size[shape] = list.length;
        return args.copy(list);
      }),
      ...(shape in sizes ? [] : [one((_args, size) => size[shape] ?? 0)]),
    ]),
    ...arrays(outputs, "array"),
    ...arrays(inputs, "array"),
    ...arrays(maybe, "arrayOrNull"),
  ];
}
