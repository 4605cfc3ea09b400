/** How linear maps can be held, and what each way with fewer bits than the checkpoint's has to say of itself. */

/**
 * Values of `storage`: as the files have them, or in 8 bits (int8, fp8) with a scale for each output channel, or in 4 bits (nf4, int4)
 * with a scale for each block of a row.
 */
export const storageNames = ["as-is", "int8", "fp8", "nf4", "int4"] as const;
/** How linear maps are held; the file says what each means. */
export type WeightStorage = (typeof storageNames)[number];

/** A storage with scales. Its bytes are planes one behind the other, each row by row: scales then numbers, or both together. */
export interface ScaledFormat {
  readonly storage: Exclude<WeightStorage, "as-is">;
  /** Bytes of a row of `columns` numbers in each plane. */
  rowBytes(columns: number): readonly number[];
  /** Fills the planes of whole rows. @throws InputError if a number has no place, by the weight's name. */
  quantize(values: Float32Array, planes: readonly Uint8Array[], columns: number, name: string): void;
  /** Sets the numbers that the planes of whole rows stand for, each rounded once to float32. */
  dequantize(planes: readonly Uint8Array[], columns: number, out: Float32Array): void;
}
