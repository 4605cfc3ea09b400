/** What adapters see of images, for commands that compare and describe them. */
import { join } from "node:path";
import { hashFile, type StoredAdapter } from "@zerogate/core/node";
import { VISION_FILE } from "@zerogate/core/training";

/** All of it that must agree before numbers can be averaged; what a tower is called does not matter. */
export function sightOf({ layout, seen }: StoredAdapter): unknown {
  return { vision: layout.shape.vision, ...seen, tower: seen && { ...seen.tower, nameOrPath: undefined } };
}

/** In words: which features of which tower, and what is trained for them. */
export function sightName({ layout, seen }: StoredAdapter): string {
  const { vision } = layout.shape;
  if (!seen || !vision) return "no images";
  const { modelType, sha256 } = seen.tower;
  const tower = `the ${modelType} ${sha256?.slice(0, 8) ?? "whose hash is not known"}`;
  const trained =
    vision.fusion === "global"
      ? `a projection of ${vision.projectionSize} units`
      : `visual queries (width ${vision.embedSize}, blocks: ${vision.blocks})`;
  return `${seen.features.join(", ")} of ${tower}, by ${trained}`;
}

/** SHA-256 of what an adapter folder has trained for images; undefined for a text adapter. */
export async function sightHash(
  folder: string,
  { layout }: Pick<StoredAdapter, "layout">,
): Promise<string | undefined> {
  return layout.shape.vision && (await hashFile(join(folder, VISION_FILE)));
}
