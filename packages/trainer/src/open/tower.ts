/** The tower of a run that sees images: where it is, and which of its layers describe an image. */
import { InputError, type VisionShape } from "@zerogate/core";
import type { SeenFeatures } from "@zerogate/core/formats";
import { type LoadedAdapter, type LoadedTower, readTower } from "@zerogate/core/node";
import { globalFeatures, parseFeatures, type TowerConfig, towerModelType } from "@zerogate/core/vision";
import { hubNameOf, type TrainConfig, type VisionShapeKey, visionShape } from "@zerogate/run-config";
import type { FindFeatures } from "@zerogate/vision";
import type { QueryMaker } from "./frozen_queries.ts";
import { checkLinks } from "./links.ts";
import { checkTower, type SightRequest, towerFolder } from "./sight.ts";

/** The part of a config that says how images are seen. */
export type TowerConfigKeys = Pick<
  TrainConfig,
  | "tower"
  | "imageRoot"
  | VisionShapeKey
  | "features"
  | "featureNorm"
  | "severalImages"
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
  /** What makes queries of images once. @default images go to the adapter as the tower sees them */
  readonly queries?: QueryMaker | undefined;
  /** How features are found. @default in this host's cache, else they are computed here */
  readonly find?: FindFeatures | undefined;
}

/** Reads the tower that a config names; undefined for a text run. @throws InputError for a tower or features that cannot be used. */
export async function openTower(
  config: TowerConfigKeys,
  onWarning: (message: string) => void,
  find?: FindFeatures,
): Promise<OpenedTower | undefined> {
  if (config.tower === "none") return undefined;
  await checkLinks(config, [config.tower]);
  const tower = await readTower(config.tower, { onWarning });
  const { fusion, channelOrder, exif } = config;
  const { features, featureSize } = featuresFor(config, tower.config);
  const vision = visionShape(config, featureSize);
  if (vision.fusion === "query" && vision.embedSize % vision.heads > 0) {
    const found = `a width of ${vision.embedSize} does not divide over ${vision.heads} heads`;
    throw new InputError("Cannot make a visual-query transformer", `${found}: give --vision-embed and --vision-heads`);
  }
  const { hiddenSize, layers, imageSize, patchSize } = tower.config;
  return {
    tower,
    seen: {
      features,
      featureNorm: fusion === "query" ? "none" : config.featureNorm,
      severalImages: severalOf(config),
      tower: {
        modelType: towerModelType(tower.config),
        hiddenSize,
        layers,
        imageSize,
        patchSize,
        sha256: tower.hash,
        nameOrPath: hubNameOf(config.tower)?.id ?? config.tower,
        channelOrder,
        exif,
      },
    },
    vision,
    imageRoot: config.imageRoot === "beside-data" ? undefined : config.imageRoot,
    find,
  };
}

/** The features that a fusion takes: one vector for each image, or tokens. */
function featuresFor({ fusion, features: named }: TowerConfigKeys, tower: TowerConfig) {
  const attempt = "Cannot see images through this tower";
  const own = () =>
    fusion === "global" ? globalFeatures(tower) : [tower.projectionSize > 0 ? "tokens.projected" : "tokens@-1"];
  const features = named === "global" ? own() : named.split(",");
  const { shape } = parseFeatures(features, tower);
  if (fusion === "global" && shape.length > 1) {
    const found = `${features.join(",")} are tokens, a projection takes one vector for each image`;
    throw new InputError(attempt, `${found}: name features as cls@-1 or mean@-1, or take --fusion query`);
  }
  if (fusion === "query" && shape.length === 1) {
    const found = `${features.join(",")} is one vector for each image, visual queries see tokens`;
    throw new InputError(attempt, `${found}: name tokens.projected or tokens@-1, or take --fusion global`);
  }
  return { features, featureSize: shape.at(-1) ?? 0 };
}

function severalOf({ fusion, severalImages }: TowerConfigKeys): SeenFeatures["severalImages"] {
  if (severalImages !== "fusion") return severalImages;
  return fusion === "query" ? "concat" : "mean";
}

/**
 * Reads the tower that an adapter was trained on; undefined if it was trained without images.
 * @throws InputError if it is not named, not there, or another one.
 */
export async function openTowerOf(
  { folder, seen, shape }: Pick<LoadedAdapter, "seen" | "shape"> & { readonly folder: string },
  request: SightRequest & { readonly imageRoot?: string | undefined },
  onWarning: (message: string) => void,
): Promise<OpenedTower | undefined> {
  const { vision } = shape;
  if (!seen || !vision) return undefined;
  const place = towerFolder(folder, seen, request.tower);
  await checkLinks(request, [place]);
  const tower = await readTower(place, { onWarning });
  checkTower(folder, seen, { loaded: tower, folder: place, ...request }, onWarning);
  return { tower, seen, vision, imageRoot: request.imageRoot };
}
