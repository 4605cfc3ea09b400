/** How a tensor lies in a file if not as numbers of a dtype, one after the other: in blocks, or packed beside its scales. */

/** A tensor's packed form. Its numbers are decoded a few rows at a time, so that no file is ever held twice. */
export interface TensorDecoder {
  /** What the form is called, for messages. */
  readonly name: string;
  /** Bytes that can be decoded without those around them; a form that mixes all of its bytes has one unit. */
  readonly unitBytes: number;
  /** Numbers in a unit. */
  readonly unitNumbers: number;
  /** Its bytes are those of a weight in `i4`, row by row. @default false */
  readonly isInt4?: boolean;
  /** Reads what the numbers depend on beside these bytes, such as scales. */
  open(): Promise<Decode>;
}

/**
 * Fills `out` with the numbers `first` … of a tensor. `bytes` begins with the unit of number `first`, which `out` fills whole
 * units of; in a form of one unit it is all of the tensor, and `out` any of its numbers.
 */
export type Decode = (bytes: Uint8Array, out: Float32Array, first: number) => void;
