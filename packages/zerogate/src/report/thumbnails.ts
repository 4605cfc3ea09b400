/** Small pictures of the images that a report's answers are about, which travel inside the page. */
import { reason } from "@zerogate/core/node";
import { resizeImage } from "@zerogate/core/vision";
import type { AnsweredImage, SampleAnswer } from "@zerogate/trainer";
import { readImage } from "@zerogate/vision";
import { encodePng } from "../pictures/png.ts";

/** A picture as a data URL, or why there is none. */
type Thumbnail =
  | { readonly url: string; readonly width: number; readonly height: number }
  | { readonly problem: string };

/** By `thumbnailKey`. */
export type Thumbnails = ReadonlyMap<string, Thumbnail>;

/** The longest side, in pixels. */
const SIDE = 96;

export const thumbnailKey = ({ root, path }: AnsweredImage): string => `${root}\0${path}`;

/** Makes a picture of each image. One that cannot be read any more has a reason instead: the report is not worth a failed run. */
export async function thumbnailsOf(samples: readonly Pick<SampleAnswer, "images">[]): Promise<Thumbnails> {
  const made = new Map<string, Thumbnail>();
  for (const image of samples.flatMap(({ images = [] }) => images)) {
    const key = thumbnailKey(image);
    if (!made.has(key)) made.set(key, await thumbnailOf(image).catch((error: unknown) => ({ problem: reason(error) })));
  }
  return made;
}

async function thumbnailOf({ root, path }: AnsweredImage): Promise<Thumbnail> {
  const image = await readImage(path, { root });
  const scale = Math.min(1, SIDE / Math.max(image.width, image.height));
  const [width, height] = [image.width, image.height].map((side) => Math.max(1, Math.round(side * scale))) as [
    number,
    number,
  ];
  const small = encodePng(resizeImage(image, { width, height }, "bicubic"));
  return { url: `data:image/png;base64,${small.toString("base64")}`, width, height };
}
