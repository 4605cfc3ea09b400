/** What samples see: their own image, none, or another's. The difference is what the image tells. */
import type { SeenImages } from "@zerogate/core";
import { permutation } from "@zerogate/data";

/** Samples with the images that they see. */
export interface ImageCondition {
  readonly name: "image" | "no image" | "shuffled images";
  readonly images: SeenImages | undefined;
}

/** Keeps shuffled images apart from what else has this seed. */
const STREAM = -2;

/**
 * Returns the three conditions; of samples of which none has an image, or of one image only, those that there are.
 * @param seed decides which other image each has: never its own, and the same image has the same other one.
 */
export function imageConditions(images: SeenImages | undefined, seed: number): ImageCondition[] {
  const seen = images && [...new Set(images.rowOf)].filter((row) => row >= 0).toSorted((a, b) => a - b);
  if (images === undefined || seen === undefined || seen.length === 0) {
    // Some adapters see an image in place of a missing one.
    return [{ name: "no image", images: images?.rows.missing === undefined ? undefined : images }];
  }
  const none = { ...images, rowOf: new Int32Array(images.rowOf.length).fill(-1) };
  const own: ImageCondition[] = [
    { name: "image", images },
    { name: "no image", images: none },
  ];
  if (seen.length < 2) return own;
  const order = Array.from(permutation(seen.length, seed, STREAM), (i) => seen[i] ?? -1);
  const otherOf = new Map(order.map((row, i) => [row, order[(i + 1) % order.length] ?? -1]));
  const rowOf = images.rowOf.map((row) => otherOf.get(row) ?? -1);
  return [...own, { name: "shuffled images", images: { ...images, rowOf } }];
}
