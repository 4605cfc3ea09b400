/**
 * The table of trained parts: all that optimizer, clipping, sums, metrics, files, comparisons and averages know of an
 * adapter. A part is one tensor, a range of the flat float32 vector; the parts of a table follow each other without holes.
 * Which parts an adapter has is up to its kind (`kinds/`).
 */
import { normal } from "../random.ts";

/** How a part starts. */
export type PartInit =
  | "zeros"
  | "ones"
  /** Independent N(0, normal²); number i of the part depends on (seed, `stream`, i) only. */
  | { readonly normal: number; readonly stream: number }
  /** As this tensor of the frozen model. */
  | { readonly base: string };

/**
 * What decays. `all`: prompts and gates (plain torch, PEFT). `original`: tensors of more than one dimension, as in the
 * LLaMA-Adapter code: prompts and its per-head gates `[1, H, 1, 1]`, but not PEFT's scalar gate `[1]`. `none`: nothing.
 */
export type DecayPolicy = "all" | "original" | "none";

/** One trained tensor of an adapter. */
export interface TrainedPart {
  /** Unique in its table and stable, for example `layers.3.prompt`. */
  readonly name: string;
  /** What it is, in one word that people read, for example `prompt` or `gate`. */
  readonly part: string;
  /** The layer of the base that it belongs to, counted from 0; undefined if it belongs to none. */
  readonly layer: number | undefined;
  /** Where its numbers begin in the flat vector. */
  readonly offset: number;
  /** As in its file. */
  readonly shape: readonly number[];
  readonly init: PartInit;
  /** The policies under which weight decay applies to it; none for what must not shrink under any. */
  readonly decays: readonly Exclude<DecayPolicy, "none">[];
  /** Multiplies the learning rate. */
  readonly learningRateFactor: number;
  /** Parts of one group take their steps together; each group counts its own steps. From 0. */
  readonly group: number;
  /** Magnitude that a number of a cell's gradient must stay below, at most `ADDEND_LIMIT`. */
  readonly gradientLimit: number;
  /** The file of an adapter folder that holds it, and its name there. */
  readonly file: string;
  readonly fileName: string;
}

/** The parts in the order of the flat vector, without holes. */
export type ParameterTable = readonly TrainedPart[];

/**
 * The table of these parts, one after another. Throws a RangeError if two have one name, one place in a file or one
 * stream of random numbers.
 */
export function parameterTable(parts: readonly Omit<TrainedPart, "offset">[]): ParameterTable {
  const taken = new Set<string>();
  const take = (key: string, { name }: Omit<TrainedPart, "offset">) => {
    if (taken.has(key)) throw new RangeError(`Cannot make a table of parts: ${key} of ${name} is another part's too`);
    taken.add(key);
  };
  let end = 0;
  return parts.map((part) => {
    take(`the name ${part.name}`, part);
    take(`the place ${part.file} ${part.fileName}`, part);
    if (typeof part.init === "object" && "stream" in part.init) take(`the stream ${part.init.stream}`, part);
    const offset = end;
    end += partLength(part);
    return { ...part, offset };
  });
}

/** Numbers of a part. */
export function partLength({ shape }: Pick<TrainedPart, "shape">): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Numbers of the flat vector. */
export function tableLength(table: ParameterTable): number {
  const last = table.at(-1);
  return last ? last.offset + partLength(last) : 0;
}

/**
 * Returns a part's own numbers: a view of `vector`, which is as flat as the table; writing to it changes the vector.
 *
 * @example
 * for (const part of adapter.layout.table) console.log(part.name, partNumbers(part, adapter.params)[0]);
 */
export function partNumbers(part: TrainedPart, vector: Float32Array): Float32Array {
  return vector.subarray(part.offset, part.offset + partLength(part));
}

/** The part that a number of the flat vector belongs to. Throws a RangeError outside of the table. */
export function partAt(table: ParameterTable, index: number): TrainedPart {
  const part = table.findLast(({ offset }) => offset <= index);
  if (part && index >= 0 && index < tableLength(table)) return part;
  throw new RangeError(`Cannot find parameter ${index} in a table of ${tableLength(table)}`);
}

/** The layers of the base that have parts, ascending. */
export function trainedLayers(table: ParameterTable): number[] {
  return [...new Set(table.flatMap(({ layer }) => layer ?? []))].toSorted((a, b) => a - b);
}

/** Groups of a table, which count their steps apart: those up to its highest. */
export function groupCount(table: ParameterTable): number {
  return 1 + table.reduce((last, { group }) => Math.max(last, group), 0);
}

/** A half-open range of the flat vector. */
export interface ParameterRange {
  readonly from: number;
  readonly to: number;
}

/** `settings` of every part with its range; neighbours that are alike become one range. */
export function rangesOf<Settings extends Readonly<Record<string, number>>>(
  table: ParameterTable,
  settings: (part: TrainedPart) => Settings,
): (ParameterRange & Settings)[] {
  const ranges: (ParameterRange & Settings)[] = [];
  for (const part of table) {
    const own = settings(part);
    const last = ranges.at(-1);
    const to = part.offset + partLength(part);
    if (last && Object.entries(own).every(([key, value]) => last[key] === value)) {
      ranges[ranges.length - 1] = { ...last, to };
    } else ranges.push({ ...own, from: part.offset, to });
  }
  return ranges;
}

/**
 * Draws fresh parameters: prompts from a normal distribution, gates 0, so that the model is still the base. The random stream is
 * ours (torch's cannot be repeated elsewhere): one seed, one result, on any machine.
 *
 * @param seed is any safe integer.
 * @param std multiplies what is drawn at random, for experiments. @default 1
 * @param baseTensor reads a tensor of the frozen model, for parts that start as one. @default none does
 * @throws RangeError if a part starts as a tensor of the base, and none is given.
 * @example
 * const { table } = adapterLayout({ promptLength: 10, adaptedLayers: 2 }, config);
 * const params = initParameters(table, 42);
 */
export function initParameters(
  table: ParameterTable,
  seed: number,
  std = 1,
  baseTensor?: (name: string) => Float32Array,
): Float32Array {
  const params = new Float32Array(tableLength(table));
  for (const part of table) {
    const { init } = part;
    const numbers = partNumbers(part, params);
    if (init === "zeros") continue;
    if (init === "ones") numbers.fill(1);
    else if ("base" in init) {
      if (!baseTensor) throw new RangeError(`Cannot start ${part.name}: it is ${init.base} of a base, give the base`);
      numbers.set(baseTensor(init.base));
    } else {
      const scale = init.normal * std;
      for (let i = 0; i < numbers.length; i++) numbers[i] = scale * normal(seed, init.stream, i);
    }
  }
  return params;
}
