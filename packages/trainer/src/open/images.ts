/** Features of the images of a data set: computed before training, and side data of its samples from then on. */
import { createHash } from "node:crypto";
import type { ImageRows, SeenImages, TokenSet } from "@zerogate/core";
import type { SampleTokens } from "@zerogate/core/node";
import { createTower } from "@zerogate/core/vision";
import { type ImageFault, imagesOfSamples, type PreparedTokens, withoutFaultyImages } from "@zerogate/data";
import { type ImageFeatures, imageFeatures } from "@zerogate/vision";
import { queriesOf } from "./frozen_queries.ts";
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
export interface SeenTokens<Tokens extends SampleTokens = TokenSet> {
  readonly prepared: PreparedTokens<Tokens>;
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
  { tower, seen, vision, queries, find }: OpenedTower,
  { name, skipBadRecords, cacheDir, eosId }: ImageRequest,
  progress: Progress,
): Promise<SeenTokens> {
  const { onPhase, onWarning, signal } = progress;
  const { images } = prepared;
  const needsZero = vision.missingImage === "zero-image";
  const paths = images.flatMap((own) => own.paths);
  const root = images.flatMap((own) => own.paths.map(() => own.root));
  if (paths.length === 0) {
    onWarning(`no record of ${name} has an image: what is trained for images learns nothing from it`);
    if (!needsZero) return { prepared, imagesOf: () => [] };
  }
  const eyes = createTower(towerEngine(), tower.config, tower.image);
  const found = await imageFeatures(eyes, paths, {
    root,
    preprocess: tower.preprocess,
    towerHash: tower.hash,
    features: seen.features,
    featureNorm: seen.featureNorm,
    channelOrder: seen.tower.channelOrder,
    exif: seen.tower.exif,
    withZeroImage: needsZero,
    ...(cacheDir !== undefined && { cacheDir }),
    onProgress: (done, total) => onPhase({ name: `looking at images of ${name}`, done, total }),
    onWarning,
    signal,
    ...(find && { find }),
  });
  const rows = rowsOfEntries(images, found);
  const faults = faultsOf(images, found);
  const usable = withoutFaultyImages(prepared, faults, { skipBad: skipBadRecords, eosId });
  const entryOf = imagesOfSamples(usable.recordOf, images);
  const side = sideData(entryOf, rows, found, seen);
  const hash = createHash("sha256").update(`${usable.tokens.hash} ${found.hash} ${side.rows.size}\n`);
  hash.update(new Uint8Array(side.rowOf.buffer)).update(JSON.stringify(side.several));
  if (seen.severalImages === "concat") hash.update("concat");
  if (queries) hash.update(queries.hash);
  const { rowOf } = side;
  const own = queries
    ? await queriesOf(side.rows, queries, { ...progress, name, cacheDir, hash: rowsHash(found, side) })
    : side.rows;
  const tokens = { ...usable.tokens, images: { rowOf, rows: own }, hash: hash.digest("hex") };
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

/** Rows of images and what they are made of, each sample's row, and which images the rows of several are of. */
type SideData = SeenImages & { readonly several: readonly string[] };

/** Names the rows, those of several images included. */
const rowsHash = ({ hash }: ImageFeatures, { rows, several }: SideData): string =>
  createHash("sha256")
    .update(JSON.stringify([hash, rows.joined ? "joined" : "mean", several]))
    .digest("hex");

/** The row of each sample. Several images of one are a row behind those of the images: their mean, or all of their features. */
function sideData(
  entryOf: Int32Array,
  rows: readonly (readonly number[])[],
  { values, shape: [count = 0, ...one], zeroRow }: Pick<ImageFeatures, "values" | "shape" | "zeroRow">,
  { severalImages }: Pick<OpenedTower["seen"], "severalImages">,
): SideData {
  const size = one.reduce((a, b) => a * b, 1);
  const several = new Map<string, readonly number[]>();
  const placeOf = new Map<string, number>();
  const rowOf = Int32Array.from(entryOf, (entry) => {
    const own = rows[entry] ?? [];
    if (own.length < 2) return own[0] ?? -1;
    const key = own.join();
    const row = placeOf.get(key) ?? count + placeOf.size;
    placeOf.set(key, row);
    several.set(key, own);
    return row;
  });
  const groups = [...several.values()];
  const joins = severalImages === "concat" && groups.length > 0;
  const imageRows: ImageRows = {
    values: joins || groups.length === 0 ? values : withMeans(values, size, groups),
    size,
    ...(joins && { joined: groups }),
    ...(zeroRow !== undefined && { missing: zeroRow }),
  };
  return { rowOf, rows: imageRows, several: [...several.keys()] };
}

/** The rows of images, then their means. */
function withMeans(values: Float32Array, size: number, groups: readonly (readonly number[])[]): Float32Array {
  const count = values.length / size;
  const all = new Float32Array(new SharedArrayBuffer(4 * size * (count + groups.length)));
  all.set(values);
  for (const [m, own] of groups.entries()) {
    const row = count + m;
    for (let i = 0; i < size; i++) {
      all[row * size + i] = own.reduce((sum, image) => sum + (values[image * size + i] ?? 0), 0) / own.length;
    }
  }
  return all;
}
