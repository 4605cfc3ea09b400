/** Features of the images of a data set: computed before training, and side data of its samples from then on. */
import { createHash } from "node:crypto";
import type { SeenImages } from "@zerogate/core";
import { createTower } from "@zerogate/core/vision";
import { type ImageFault, imagesOfSamples, type PreparedTokens, withoutFaultyImages } from "@zerogate/data";
import { type ImageFeatures, imageFeatures } from "@zerogate/vision";
import type { Progress } from "./progress.ts";
import type { OpenedTower } from "./tower.ts";
import { towerEngine } from "./tower_engine.ts";

/** What seeing takes of a data request. */
interface ImageRequest {
  readonly name: string;
  readonly skipBadRecords: boolean;
  readonly cacheDir: string | undefined;
  readonly eosId: number;
}

/** Tokens with the features of their images, and which images each sample has. */
export interface SeenTokens {
  readonly prepared: PreparedTokens;
  /** Names the images of a sample; the same image has the same name. */
  readonly imagesOf: (sample: number) => readonly string[];
}

/**
 * Computes the features of all images that the records name, or takes them from the cache. Records whose images cannot be used are
 * bad records. The hash of the tokens becomes that of tokens and features.
 *
 * @throws InputError that lists such records, unless they may be skipped.
 */
export async function seeImages(
  prepared: PreparedTokens,
  { tower, seen, vision }: OpenedTower,
  { name, skipBadRecords, cacheDir, eosId }: ImageRequest,
  { onPhase, onWarning, signal }: Progress,
): Promise<SeenTokens> {
  const { images } = prepared;
  const paths = images.flatMap((own) => own.paths);
  const root = images.flatMap((own) => own.paths.map(() => own.root));
  if (paths.length === 0) {
    onWarning(`no record of ${name} has an image: what is trained for images learns nothing from it`);
    return { prepared, imagesOf: () => [] };
  }
  const found = await imageFeatures(createTower(towerEngine(), tower.config, tower.image), paths, {
    root,
    preprocess: tower.preprocess,
    towerHash: tower.hash,
    features: seen.features,
    featureNorm: seen.featureNorm,
    channelOrder: seen.tower.channelOrder,
    exif: seen.tower.exif,
    ...(cacheDir !== undefined && { cacheDir }),
    onProgress: (done, total) => onPhase({ name: `looking at images of ${name}`, done, total }),
    onWarning,
    signal,
  });
  const rows = rowsOfEntries(images, found);
  const faults = faultsOf(images, found);
  const usable = withoutFaultyImages(prepared, faults, { skipBad: skipBadRecords, eosId });
  const entryOf = imagesOfSamples(usable.recordOf, images);
  const side = sideData(entryOf, rows, found, vision.featureSize);
  const hash = createHash("sha256").update(`${usable.tokens.hash} ${found.hash} ${side.rows.size}\n`);
  hash.update(new Uint8Array(side.rowOf.buffer)).update(JSON.stringify(side.means));
  const { means: _, ...seenImages } = side;
  const tokens = { ...usable.tokens, images: seenImages, hash: hash.digest("hex") };
  const imagesOf = (sample: number) => (rows[entryOf[sample] ?? -1] ?? []).map(String);
  return { prepared: { ...usable, tokens }, imagesOf };
}

/** Rows of features of each record's images. */
function rowsOfEntries(images: PreparedTokens["images"], { rowOf }: ImageFeatures): number[][] {
  let next = 0;
  return images.map(({ paths }) => paths.map(() => rowOf[next++] ?? -1));
}

function faultsOf(images: PreparedTokens["images"], { problems }: ImageFeatures): Map<number, ImageFault> {
  const reasons = new Map(problems.map(({ index, reason }) => [index, reason]));
  const faults = new Map<number, ImageFault>();
  let next = 0;
  for (const [entry, { paths }] of images.entries()) {
    for (const path of paths) {
      const reason = reasons.get(next++);
      if (reason !== undefined && !faults.has(entry)) faults.set(entry, { path, reason });
    }
  }
  return faults;
}

/** The row of each sample; several images of one become a row of their own behind those of the images: their mean. */
function sideData(
  entryOf: Int32Array,
  rows: readonly (readonly number[])[],
  { values, shape }: ImageFeatures,
  size: number,
): SeenImages & { readonly means: readonly string[] } {
  const [count = 0] = shape;
  const means = new Map<string, number>();
  const rowOf = Int32Array.from(entryOf, (entry) => {
    const own = rows[entry] ?? [];
    if (own.length < 2) return own[0] ?? -1;
    const key = own.join();
    const row = means.get(key) ?? count + means.size;
    means.set(key, row);
    return row;
  });
  if (means.size === 0) return { rowOf, rows: { values, size }, means: [] };
  const all = new Float32Array(new SharedArrayBuffer(4 * size * (count + means.size)));
  all.set(values);
  for (const [key, row] of means) {
    const own = key.split(",").map(Number);
    for (let i = 0; i < size; i++) {
      all[row * size + i] = own.reduce((sum, image) => sum + (values[image * size + i] ?? 0), 0) / own.length;
    }
  }
  return { rowOf, rows: { values: all, size }, means: [...means.keys()] };
}
