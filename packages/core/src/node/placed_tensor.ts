/** Where a tensor of a base lies. */
import type { TensorEntry } from "../formats/safetensors.ts";
import type { TensorDecoder } from "../formats/tensor_decoder.ts";
import type { OpenFile } from "./parallel_read.ts";

/** A tensor of the checkpoint under its name in transformers, and the open file that holds it. */
export interface PlacedTensor extends TensorEntry {
  readonly file: OpenFile;
  /** Turns its bytes into its numbers, which `dtype` holds exactly. @default they are numbers of `dtype` */
  readonly decoder?: TensorDecoder;
  /** Where a stored row stands in transformers. @default in its own place */
  readonly rowTo?: (stored: number) => number;
  /** The 1 that transformers adds to such a norm is in its numbers already. @default false */
  readonly holdsOne?: boolean;
  /** It is `[out, in]`, where transformers' files have the map `[in, out]`. @default false */
  readonly isTurned?: boolean;
}

/** Tensors of open files, and what closes these. */
export interface OpenedWeights {
  readonly tensors: ReadonlyMap<string, PlacedTensor>;
  close(): Promise<void>;
}
