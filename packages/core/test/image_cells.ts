/** Cells of the tiny base whose sequences see images, and what an adapter is without them. */
import { adapterLayout } from "../src/adapter/kinds/adaption_prompt.ts";
import type { AdapterState } from "../src/adapter/kinds/kind.ts";
import { type Cell, type ImageRows, packCell } from "../src/cell/tokens.ts";
import type { DecoderModel } from "../src/model/decoder.ts";
import { tinyTokens } from "./tiny_model.ts";

/** The text adapter inside of one that sees images. */
export function textInside({ layout, params }: AdapterState, model: DecoderModel): AdapterState {
  const { vision: _, ...shape } = layout.shape;
  const own = adapterLayout(shape, model.config);
  return { layout: own, params: params.slice(0, own.length) };
}

/** A cell of four sequences, of 6, 3, 5 and 4 tokens. @param rowOf the row of each one's image; undefined: there are no images. */
export function cellOfImages(model: DecoderModel, rowOf: readonly number[] | undefined, rows: ImageRows): Cell {
  const tokens = tinyTokens(model.config, [6, 3, 5, 4]);
  return packCell({ ...tokens, images: rowOf && { rowOf: Int32Array.from(rowOf), rows } }, [0, 1, 2, 3]);
}
