/** Which images the sequences of a pass have, and their features: side data of a pass, read like token ids. */
import type { AdapterState } from "../adapter/kinds/kind.ts";
import { kindOf } from "../adapter/kinds/known.ts";
import type { Cell, ImageRows } from "../cell/tokens.ts";
import { InputError } from "../errors.ts";
import type { DecoderModel } from "./decoder.ts";
import type { ImagePrompts, ImageRange, SequenceImage } from "./prompts.ts";

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
  { cuSeqlens, images }: Pick<Cell, "cuSeqlens" | "images">,
): CellImages | undefined {
  const vision = adapter?.layout.shape.vision;
  if (!adapter || !vision) return undefined;
  const C = vision.featureSize;
  const sequences = Array.from({ length: cuSeqlens.length - 1 }, (_, s) => ({
    row: images?.rowOf[s] ?? -1,
    tokens: [cuSeqlens[s], cuSeqlens[s + 1]] as const,
  }));
  const seen = sequences.filter(({ row }) => row >= 0 || vision.missingImage === "zeros");
  if (seen.length === 0) return undefined;
  const rows = [...new Set(seen.map(({ row }) => row))];
  const features_NC = new Float32Array(rows.length * C);
  for (const [n, row] of rows.entries()) if (row >= 0) features_NC.set(featuresOf(images?.rows, row, C), n * C);
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

/** An image that outlives a pass, on the engine until it is released. */
export interface ImageLease {
  readonly image: SequenceImage;
  release(): void;
}

/**
 * Binds the image of a text that is generated, once for all its tokens; undefined if the adapter does nothing there.
 *
 * @param features C numbers; undefined for a text without an image.
 * @throws InputError if the adapter takes no images, or features of another size.
 */
export async function leaseImage(
  model: DecoderModel,
  adapter: AdapterState | undefined,
  features: Float32Array | undefined,
): Promise<ImageLease | undefined> {
  const { engine } = model;
  const vision = adapter?.layout.shape.vision;
  if (features && !vision) {
    const found = adapter ? "the adapter was trained without images" : "the base sees none";
    throw new InputError("Cannot answer about an image", `${found}, use an adapter that was trained with them`);
  }
  if (!adapter || !vision) return undefined;
  const { featureSize: C, missingImage } = vision;
  if (!features && missingImage === "none") return undefined;
  const shown = features ?? new Float32Array(C);
  if (shown.length !== C) {
    const found = `its features are ${shown.length} numbers`;
    throw new InputError("Cannot answer about an image", `${found}, the adapter takes ${C}: use its own tower`);
  }
  const prompts = await engine.arena(async () => {
    const made = bindImages(model, adapter, shown);
    engine.keep(...made.layers.values());
    return made;
  });
  let isHeld = true;
  return {
    image: { prompts, image: 0 },
    release() {
      if (isHeld) engine.free(...prompts.layers.values());
      isHeld = false;
    },
  };
}

function featuresOf(images: ImageRows | undefined, row: number, C: number): Float32Array {
  const attempt = "Cannot use the images of a cell";
  const { values, size } = images ?? { values: new Float32Array(0), size: C };
  if (size !== C) throw new RangeError(`${attempt}: features have ${size} numbers each, the adapter takes ${C}`);
  const rows = values.length / size;
  if (row >= rows) throw new RangeError(`${attempt}: row ${row} of their features is named, there are ${rows}`);
  return values.subarray(row * C, (row + 1) * C);
}
