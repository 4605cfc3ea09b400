/** What the rows of the table of operations say, see `operations.ts`. */
import type { DeviceArray, Engine, Matrix } from "./engine.ts";

/** Members of an Engine that compute nothing: what it is, weights in, arrays in and out, lifetimes. */
type Facility =
  | "name"
  | "weightDtypes"
  | "softCaps"
  | "matrix"
  | "mapped"
  | "upload"
  | "read"
  | "readNow"
  | "free"
  | "arena"
  | "repeated"
  | "keep"
  | "kvCache"
  | "deltaState"
  | "freeCache";

/** Members of an Engine that compute. */
export type OperationName = Exclude<keyof Engine, Facility>;

/** Methods of an engine whose arguments are arrays and sizes alone. */
export type FlatName =
  | "gatherRows"
  | "scatterRows"
  | "splitColumns"
  | "joinColumns"
  | "addScaled"
  | "scaleRows"
  | "scaleRowsBackward"
  | "sigmoidGate"
  | "sigmoidGateBackward"
  | "scaleShift"
  | "scaleShiftBackward"
  | "rmsNorm"
  | "rmsNormBackward"
  | "rmsNormBySet"
  | "rmsNormBySetBackward"
  | "rmsNormWeightBackward"
  | "layerNorm"
  | "layerNormBackward"
  | "swiglu"
  | "swigluBackward"
  | "geglu"
  | "gegluBackward"
  | "gelu"
  | "geluBackward"
  | "geluErf"
  | "geluErfBackward"
  | "geluQuick"
  | "softCap";

/** A length as a product of sizes and digits: `T2F` is T · 2 · F. */
export type Shape = string;

/** A list of row numbers. A size that only this list has is the list's length. */
export interface RowList {
  readonly shape: Shape;
  /** The size that they are below. */
  readonly below: string;
  /** The smallest: 0, or -1 if a place may have no row. */
  readonly least: 0 | -1;
}

export type HostArrays = Readonly<Record<string, Float32Array | Int32Array | undefined>>;
/** Sizes by their letter, for example `{ T: 8, D: 64 }`. */
export type Sizes = Readonly<Record<string, number>>;

/** The arguments of a flat operation on every engine, in this order: sizes, numbers, weights, rows, outputs, inputs, maybe. */
export interface FlatOperation {
  /** The method's arguments before its size: a name each, or the names of the fields of an object. */
  readonly arguments: readonly (string | readonly string[])[];
  /** Whole numbers, each with the least that it may be. */
  readonly sizes: Readonly<Record<string, 0 | 1>>;
  readonly numbers: readonly string[];
  /** Frozen vectors, each with the size that it is as long as. */
  readonly weights: Readonly<Record<string, string>>;
  readonly rows: Readonly<Record<string, RowList>>;
  /** A single one is returned as it is, several as the fields of an object. */
  readonly outputs: Readonly<Record<string, Shape>>;
  readonly inputs: Readonly<Record<string, Shape>>;
  /** Inputs that may be left out; one is added to the first output. */
  readonly maybe: Readonly<Record<string, Shape>>;
  /**
   * Its gradient: takes `dy` of outputs `y`, and inputs and outputs under their own names; returns `dx` of inputs `x`. Absent
   * of a backward, and of an operation that only goes forward.
   */
  readonly backward: FlatName | undefined;
  /** How often an engine's tolerance of one operation its error may be; 0 if numbers are moved and keep their bits. */
  readonly tolerance: number;
  /** Throws a RangeError if sizes do not fit each other. @default all do */
  readonly check?: (size: Sizes) => void;
  /** In plain TypeScript, as the reference engine runs it. */
  kernel(out: HostArrays, input: HostArrays, size: Sizes): void;
}

/** An operation whose arguments or checks a row cannot say without contortion; engine.ts says what it takes. */
export interface SpecialOperation {
  /** What is special. */
  readonly because: string;
  readonly backward: OperationName | undefined;
  readonly tolerance: number;
  /** Changes its first argument and returns nothing. @default it returns new arrays */
  readonly inPlace?: true;
  /** What core does with an engine that lacks it. @default none: an engine must have it */
  readonly fallBack?: string;
}

/** Its arguments are those of the method: names for arrays, fields for objects, and the keys of its size. */
export type RowOf<Name extends FlatName> = FlatOperation &
  (Parameters<Engine[Name]> extends readonly [...infer Rest, infer Size]
    ? {
        readonly arguments: {
          readonly [I in keyof Rest]: Rest[I] extends DeviceArray | Matrix ? string : readonly (keyof Rest[I])[];
        };
        readonly sizes: Readonly<Record<Exclude<keyof Size, "eps" | "factor" | "cap">, 0 | 1>>;
      }
    : never);

/** What most rows do not have. */
export const none = { numbers: [], weights: {}, rows: {}, maybe: {}, backward: undefined } as const;
