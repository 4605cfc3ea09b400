/** Images of records in a token file: files by their number, since the same bytes may lie in another place. */
import * as z from "zod";
import type { DataFile } from "./data_files.ts";
import type { RecordImages } from "./record_images.ts";

/** Images of one record, as a token file has them. */
export interface StoredImages {
  readonly record: number;
  /** Number of the data file, from 0. */
  readonly file: number;
  readonly index?: number;
  readonly line?: number;
  readonly paths: readonly string[];
}

const count = z.int().min(0);
const schema: z.ZodType<readonly StoredImages[]> = z.array(
  z.strictObject({
    record: count,
    file: count,
    index: count.exactOptional(),
    line: count.exactOptional(),
    paths: z.array(z.string()).min(1),
  }),
);

export function storeImages(images: readonly RecordImages[], files: readonly DataFile[]): StoredImages[] {
  const numbers = new Map(files.map(({ path }, number) => [path, number]));
  return images.map(({ record, place: { file, ...at }, paths }) => {
    return { record, file: numbers.get(file) ?? 0, ...at, paths };
  });
}

/** @throws Error if they are of files that there are not. */
export function placeImages(
  images: readonly StoredImages[],
  files: readonly { readonly path: string; readonly imageRoot: string }[],
): RecordImages[] {
  return images.map(({ record, file, paths, ...at }) => {
    const place = files[file];
    if (place === undefined) throw new Error(`Cannot use the tokens: images of file ${file} of ${files.length}`);
    return { record, place: { file: place.path, ...at }, root: place.imageRoot, paths };
  });
}

export const imagesToBytes = (images: readonly StoredImages[]): Uint8Array => Buffer.from(JSON.stringify(images));

/** @throws Error if it is no such list of images of these records. */
export function imagesFromBytes(bytes: Uint8Array): readonly StoredImages[] {
  const images = schema.parse(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)));
  for (const [i, { record }] of images.entries()) {
    if (record <= (images[i - 1]?.record ?? -1)) throw new Error("its images are out of order");
  }
  return images;
}
