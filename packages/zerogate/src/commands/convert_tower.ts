/** What a released multimodal file was trained to see, which it does not say itself. */
import { type AdapterLayout, InputError } from "@zerogate/core";
import type { SeenFeatures } from "@zerogate/core/formats";
import { readTower } from "@zerogate/core/node";
import { towerModelType } from "@zerogate/core/vision";

/** The tower of the released checkpoints, CLIP ViT-L/14, by its name on the Hub. */
const RELEASED = {
  modelType: "clip_vision_model",
  hiddenSize: 1024,
  layers: 24,
  imageSize: 224,
  patchSize: 14,
  nameOrPath: "openai/clip-vit-large-patch14",
};

/** Numbers of its projected tokens. */
const RELEASED_TOKENS = 768;

/**
 * Returns what the adapter of a released file sees: projected tokens, in the authors' order of colours. Throws an InputError for a
 * tower whose tokens are not those.
 *
 * @param folder of the tower. @default the one of the released checkpoints, whose tokens the file must take
 */
export async function seenByReleased(layout: AdapterLayout, folder: string | undefined): Promise<SeenFeatures> {
  const { vision } = layout.shape;
  const size = vision?.featureSize ?? 0;
  // OpenCV, with which the authors read images: blue first, and turned as EXIF says.
  const order = { channelOrder: "bgr", exif: "apply" } as const;
  const common = { features: ["tokens.projected"], featureNorm: "none", severalImages: "concat" } as const;
  if (folder === undefined) {
    if (size === RELEASED_TOKENS) return { ...common, tower: { ...RELEASED, ...order } };
    const found = `the file takes tokens of ${size} numbers, those of CLIP ViT-L/14 have ${RELEASED_TOKENS}`;
    throw new InputError("Cannot convert", `${found}: name its tower (--tower)`);
  }
  const { config, hash } = await readTower(folder);
  const { hiddenSize, layers, imageSize, patchSize, projectionSize } = config;
  if (projectionSize !== size) {
    const found = `the file takes tokens of ${size} numbers, those of ${folder} have ${projectionSize}`;
    throw new InputError("Cannot convert", `${found}: name the tower that it was trained with`);
  }
  const sizes = { modelType: towerModelType(config), hiddenSize, layers, imageSize, patchSize };
  return { ...common, tower: { ...sizes, sha256: hash, nameOrPath: folder, ...order } };
}
