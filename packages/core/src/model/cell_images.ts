/** Which images the sequences of a pass have, and what is known of them: side data of a pass, read like token ids. */
import { fusionOf } from "../adapter/fusions/fusions.ts";
import type { AdapterState } from "../adapter/kinds/kind.ts";
import { kindOf } from "../adapter/kinds/known.ts";
import type { VisionShape } from "../adapter/layout.ts";
import { type Cell, type ImageInput, imageInput, type SeenImages } from "../cell/tokens.ts";
import { InputError } from "../errors.ts";
import type { DecoderModel } from "./decoder.ts";
import type { ImagePrompts, ImageRange, SequenceImage } from "./prompts.ts";

/** The images of one cell under one adapter. */
export interface CellImages {
  /** Each once, in the order of their first sequences. */
  readonly images: readonly ImageInput[];
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
  const sequences = Array.from({ length: cuSeqlens.length - 1 }, (_, s) => ({
    row: images?.rowOf[s] ?? -1,
    tokens: [cuSeqlens[s], cuSeqlens[s + 1]] as const,
  }));
  const seen = sequences.filter(({ row }) => row >= 0 || vision.missingImage !== "none");
  if (seen.length === 0) return undefined;
  const rows = [...new Set(seen.map(({ row }) => row))];
  const found = rows.map((row) => imageOfRow(images, row, adapter, vision));
  const prompts = bindImages(model, adapter, found);
  const ranges = seen.map(({ row, tokens }) => ({ prompts, image: rows.indexOf(row), tokens }));
  return { images: found, prompts, ranges };
}

/** Computes what images do in an adapter's layers. */
function bindImages(model: DecoderModel, adapter: AdapterState, images: readonly ImageInput[]): ImagePrompts {
  const kind = kindOf(adapter);
  if (kind.bindImages) return kind.bindImages(adapter, model, images);
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
 * @param image undefined for a text without one.
 * @throws InputError if the adapter takes no images, or features of another size.
 */
export async function leaseImage(
  model: DecoderModel,
  adapter: AdapterState | undefined,
  image: ImageInput | undefined,
): Promise<ImageLease | undefined> {
  const { engine } = model;
  const vision = adapter?.layout.shape.vision;
  if (image && !vision) {
    const found = adapter ? "the adapter was trained without images" : "the base sees none";
    throw new InputError("Cannot answer about an image", `${found}, use an adapter that was trained with them`);
  }
  if (!adapter || !vision) return undefined;
  const { featureSize: C, missingImage } = vision;
  if (!image && missingImage === "none") return undefined;
  if (!image && missingImage === "zero-image") {
    const needed = "what its tower makes of an image of zeros: give that as the image";
    throw new InputError(
      "Cannot answer without an image",
      `the adapter sees, in place of one that is missing, ${needed}`,
    );
  }
  const shown = image ?? new Float32Array(C);
  const taken = fusionOf(vision).misfit(shown, adapter);
  if (taken !== undefined) {
    const found = `its features are ${numbersOf(shown)} numbers`;
    throw new InputError("Cannot answer about an image", `${found}, the adapter takes ${taken}: use its own tower`);
  }
  const keysValues = ({ layers }: ImagePrompts) => Array.from(layers.values(), ({ kv_KY }) => kv_KY);
  const prompts = await engine.arena(async () => {
    const made = bindImages(model, adapter, [shown]);
    engine.keep(...keysValues(made));
    return made;
  });
  let isHeld = true;
  return {
    image: { prompts, image: 0 },
    release() {
      if (isHeld) engine.free(...keysValues(prompts));
      isHeld = false;
    },
  };
}

/** The image of a row; -1 is a missing one. */
function imageOfRow(
  images: SeenImages | undefined,
  row: number,
  adapter: AdapterState,
  vision: VisionShape,
): ImageInput {
  const attempt = "Cannot use the images of a cell";
  const { rows } = images ?? {};
  if (row < 0 && vision.missingImage === "zeros") return new Float32Array(vision.featureSize);
  const own = row < 0 ? rows?.missing : row;
  if (own === undefined || !rows) {
    throw new RangeError(`${attempt}: one is missing, and no row says what the adapter sees in its place`);
  }
  const image = imageInput(rows, own);
  const taken = fusionOf(vision).misfit(image, adapter);
  if (taken === undefined) return image;
  throw new RangeError(`${attempt}: features have ${numbersOf(image)} numbers each, the adapter takes ${taken}`);
}

const numbersOf = (image: ImageInput): number => ("queries" in image ? image.queries : image).length;
