/** The tower of a run that sees images: where it is, and which of its layers describe an image. */
import { InputError, type VisionShape } from "@zerogate/core";
import type { SeenFeatures } from "@zerogate/core/formats";
import { type LoadedAdapter, type LoadedTower, readTower } from "@zerogate/core/node";
import { globalFeatures, parseFeatures, towerModelType } from "@zerogate/core/vision";
import { type TrainConfig, visionShape } from "@zerogate/run-config";
import { checkLinks } from "./links.ts";
import { checkTower, towerFolder } from "./sight.ts";

/** The part of a config that says how images are seen. */
export type TowerConfigKeys = Pick<
  TrainConfig,
  | "tower"
  | "imageRoot"
  | "features"
  | "featureNorm"
  | "projectionSize"
  | "missingImage"
  | "channelOrder"
  | "exif"
  | "links"
>;

/** A tower, and what is taken of it. */
export interface OpenedTower {
  readonly tower: LoadedTower;
  readonly seen: SeenFeatures;
  /** What an adapter that sees through it has. */
  readonly vision: VisionShape;
  /** The folder that images must be in; undefined: that of each data file. */
  readonly imageRoot: string | undefined;
}

/** Reads the tower that a config names; undefined for a text run. @throws InputError for a tower or features that cannot be used. */
export async function openTower(
  config: TowerConfigKeys,
  onWarning: (message: string) => void,
): Promise<OpenedTower | undefined> {
  if (config.tower === "none") return undefined;
  await checkLinks(config, [config.tower]);
  const tower = await readTower(config.tower, { onWarning });
  const { featureNorm, channelOrder, exif } = config;
  const features = config.features === "global" ? globalFeatures(tower.config) : config.features.split(",");
  const { shape } = parseFeatures(features, tower.config);
  const [featureSize = 0] = shape;
  if (shape.length > 1) {
    const found = `${features.join(",")} are tokens, a projection takes one vector for each image`;
    throw new InputError("Cannot see images through this tower", `${found}: name features as cls@-1 or mean@-1`);
  }
  const { hiddenSize, layers, imageSize, patchSize } = tower.config;
  return {
    tower,
    seen: {
      features,
      featureNorm,
      severalImages: "mean",
      tower: {
        modelType: towerModelType(tower.config),
        hiddenSize,
        layers,
        imageSize,
        patchSize,
        sha256: tower.hash,
        nameOrPath: config.tower,
        channelOrder,
        exif,
      },
    },
    vision: visionShape(config, featureSize),
    imageRoot: config.imageRoot === "beside-data" ? undefined : config.imageRoot,
  };
}

/**
 * Reads the tower that an adapter was trained on; undefined if it was trained without images.
 * @throws InputError if it is not named, not there, or another one.
 */
export async function openTowerOf(
  { folder, seen, shape }: Pick<LoadedAdapter, "seen" | "shape"> & { readonly folder: string },
  request: { readonly tower?: string | undefined; readonly imageRoot?: string | undefined; readonly links: boolean },
  onWarning: (message: string) => void,
): Promise<OpenedTower | undefined> {
  const { vision } = shape;
  if (!seen || !vision) return undefined;
  const place = towerFolder(folder, seen, request.tower);
  await checkLinks(request, [place]);
  const tower = await readTower(place, { onWarning });
  checkTower(folder, seen, tower, place);
  return { tower, seen, vision, imageRoot: request.imageRoot };
}
