/** Which images the sequences of a pass have, and their features: side data of a pass, read like token ids. */
import type { AdapterState } from "../adapter/kinds/kind.ts";
import { kindOf } from "../adapter/kinds/known.ts";
import type { Cell } from "../cell/tokens.ts";
import type { DecoderModel } from "./decoder.ts";
import type { ImagePrompts, ImageRange } from "./prompts.ts";

/** Features of the images of a data set, a row of `size` numbers for each. Only read; may lie over shared memory. */
export interface ImageRows {
  readonly values: Float32Array;
  readonly size: number;
}

/** The images of one cell under one adapter. */
export interface CellImages {
  /** Of the images that there are, each once, in the order of their first sequences. */
  readonly features_NC: Float32Array;
  readonly prompts: ImagePrompts;
  readonly ranges: readonly ImageRange[];
}

/**
 * Binds the images of a cell; undefined if none of them does anything: the cell's passes are then those of a text. Runs in the
 * engine's arena.
 * @throws RangeError for rows that are not there, or features of another size than the adapter was made for.
 */
export function bindCellImages(
  model: DecoderModel,
  adapter: AdapterState | undefined,
  { cuSeqlens, imageRows_S }: Pick<Cell, "cuSeqlens" | "imageRows_S">,
  images: ImageRows | undefined,
): CellImages | undefined {
  const vision = adapter?.layout.shape.vision;
  if (!adapter || !vision) return undefined;
  const C = vision.featureSize;
  const sequences = Array.from({ length: cuSeqlens.length - 1 }, (_, s) => ({
    row: imageRows_S?.[s] ?? -1,
    tokens: [cuSeqlens[s], cuSeqlens[s + 1]] as const,
  }));
  const seen = sequences.filter(({ row }) => row >= 0 || vision.missingImage === "zeros");
  if (seen.length === 0) return undefined;
  const rows = [...new Set(seen.map(({ row }) => row))];
  const features_NC = new Float32Array(rows.length * C);
  for (const [n, row] of rows.entries()) if (row >= 0) features_NC.set(featuresOf(images, row, C), n * C);
  const prompts = bindImages(model, adapter, features_NC);
  const ranges = seen.map(({ row, tokens }) => ({ prompts, image: rows.indexOf(row), tokens }));
  return { features_NC, prompts, ranges };
}

/** Computes what images of these features `[N, C]` do in an adapter's layers. */
function bindImages(model: DecoderModel, adapter: AdapterState, features_NC: Float32Array): ImagePrompts {
  const kind = kindOf(adapter);
  if (kind.bindImages) return kind.bindImages(adapter, model, features_NC);
  throw new RangeError(`Cannot use images: adapters of the kind "${kind.name}" have none`);
}

function featuresOf(images: ImageRows | undefined, row: number, C: number): Float32Array {
  const attempt = "Cannot use the images of a cell";
  if (!images) throw new RangeError(`${attempt}: it names row ${row} of their features, and no features are given`);
  const { values, size } = images;
  if (size !== C) throw new RangeError(`${attempt}: features have ${size} numbers each, the adapter takes ${C}`);
  const rows = values.length / size;
  if (row >= rows) throw new RangeError(`${attempt}: row ${row} of their features is named, there are ${rows}`);
  return values.subarray(row * C, (row + 1) * C);
}
