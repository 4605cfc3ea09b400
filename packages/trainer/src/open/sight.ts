/**
 * The eyes of an opened model: the tower that an adapter was trained on, read when the first image is shown, and the features that
 * it makes of images. Towers compute in float32, whatever the base does.
 */
import { InputError, type VisionShape } from "@zerogate/core";
import type { SeenFeatures } from "@zerogate/core/formats";
import { type LoadedTower, readTower } from "@zerogate/core/node";
import { createTower, preprocessImage, type Tower, towerFeatures, zeroImage } from "@zerogate/core/vision";
import { localPlace } from "@zerogate/run-config";
import { readImage } from "@zerogate/vision";
import { checkLinks } from "./links.ts";
import { towerEngine } from "./tower_engine.ts";

/** Shows images to adapters. */
export interface Sight {
  /**
   * Returns the features of images as an adapter takes them; several images are one: the mean of theirs, or all of their tokens. Without
   * an image: of the one that the adapter sees in its place, if it sees one.
   * @param adapter its name, for messages.
   * @throws InputError for an adapter that was trained without images, another tower than its own, and images that cannot be read.
   */
  look(adapter: string, own: Seeing | undefined, images: readonly string[]): Promise<Float32Array>;
}

/** What an adapter says of its images. */
interface Seeing {
  readonly seen?: SeenFeatures | undefined;
  readonly shape: { readonly vision?: VisionShape | undefined };
}

/** Where a tower is and how it is opened. */
export interface SightRequest {
  readonly links: boolean;
  /** Folder of the tower. @default that which the adapter names, if it is here */
  readonly tower?: string | undefined;
  /** Takes a tower of the same sizes and another hash, with a warning. @default false */
  readonly acceptTower?: boolean | undefined;
}

interface OpenedTower {
  readonly tower: Tower;
  readonly loaded: LoadedTower;
}

/** Nothing is read before the first image. */
export function openSight(request: SightRequest, onWarning: (message: string) => void): Sight {
  const towers = new Map<string, Promise<OpenedTower>>();
  const open = async (folder: string): Promise<OpenedTower> => {
    await checkLinks(request, [folder]);
    const loaded = await readTower(folder, { onWarning });
    return { tower: createTower(towerEngine(), loaded.config, loaded.image), loaded };
  };
  return {
    async look(adapter, own, images) {
      const { seen, shape } = own ?? {};
      if (!seen) {
        throw new InputError(
          `Cannot show an image to the adapter ${adapter}`,
          "it was trained without images: use one that was trained with them, or ask without an image",
        );
      }
      const folder = towerFolder(adapter, seen, request.tower);
      const opening = towers.get(folder) ?? open(folder);
      towers.set(folder, opening);
      const { tower, loaded } = await opening.catch((error: unknown) => {
        towers.delete(folder); // what stood in the way may be gone the next time
        throw error;
      });
      checkTower(adapter, seen, { loaded, folder, ...request }, onWarning);
      const { features, featureNorm, severalImages } = seen;
      if (images.length === 0) {
        if (shape?.vision?.missingImage === "zero-image") {
          return (await towerFeatures(tower, [zeroImage(tower.config)], { features, featureNorm })).values;
        }
        throw new RangeError(`Cannot show no image to the adapter ${adapter}: it sees nothing in its place`);
      }
      const { channelOrder, exif } = seen.tower;
      const pixels: Float32Array[] = [];
      for (const path of images) {
        pixels.push(preprocessImage(await readImage(path, { exif, onWarning }), loaded.preprocess, channelOrder));
      }
      const found = await towerFeatures(tower, pixels, { features, featureNorm });
      return severalImages === "concat" ? found.values : meanRow(found, pixels.length);
    },
  };
}

/** The tower that was asked for, or the one that the adapter names. */
export function towerFolder(adapter: string, { tower }: SeenFeatures, asked: string | undefined): string {
  const named = asked ?? tower.nameOrPath;
  if (named !== undefined) return localPlace(named, `Cannot use the tower ${named}`);
  throw new InputError(
    `Cannot show an image to the adapter ${adapter}`,
    "it does not say where its tower is: name the folder with --tower",
  );
}

/** A tower, and whether another one of its sizes is taken. */
interface TowerCheck extends Pick<SightRequest, "acceptTower"> {
  readonly loaded: LoadedTower;
  readonly folder: string;
}

/** @throws InputError for another tower than that which the adapter was trained on. */
export function checkTower(
  adapter: string,
  { tower }: SeenFeatures,
  { loaded, folder, acceptTower = false }: TowerCheck,
  onWarning: (message: string) => void,
): void {
  const attempt = `Cannot use the tower ${folder} for the adapter ${adapter}`;
  const { hiddenSize, layers, imageSize, patchSize } = loaded.config;
  const own = { hiddenSize, layers, imageSize, patchSize };
  const problems = Object.entries(own).flatMap(([key, found]) => {
    const trained = tower[key as keyof typeof own];
    return trained === found ? [] : [`its ${key} is ${found}, the adapter was trained with ${trained}`];
  });
  if (problems.length === 0 && tower.sha256 !== undefined && tower.sha256 !== loaded.hash) {
    const found = `its weights or settings have the SHA-256 ${loaded.hash}, the adapter was trained with ${tower.sha256}`;
    if (acceptTower) onWarning(`the tower ${folder} is accepted for the adapter ${adapter}: ${found}`);
    else problems.push(`${found}: give the folder of that tower with --tower, or accept this one with --accept-tower`);
  }
  if (problems.length > 0) throw new InputError(attempt, problems);
}

/** Returns the mean of the rows, in float64 and rounded once. */
function meanRow({ values }: { readonly values: Float32Array }, rows: number): Float32Array {
  const size = values.length / rows;
  return Float32Array.from({ length: size }, (_, i) => {
    let sum = 0;
    for (let row = 0; row < rows; row++) sum += values[row * size + i] ?? 0;
    return sum / rows;
  });
}
