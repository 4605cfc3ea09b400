/** Features of the images of a data set: computed once, kept on disk, shared by all workers. */
import { availableParallelism } from "node:os";
import { InputError } from "@zerogate/core";
import { imagePath } from "@zerogate/core/node";
import {
  type FeatureNorm,
  type PreprocessSettings,
  parseFeatures,
  type Tower,
  towerFeatures,
  zeroImage,
} from "@zerogate/core/vision";
import {
  allocateFeatures,
  type FeaturePack,
  featureKey,
  packHash,
  readFeaturePack,
  writeFeaturePack,
  ZERO_IMAGE,
} from "./feature_pack.ts";
import { type ImagePool, type ImageTask, openImagePool } from "./image_pool.ts";
import { NO_DECODER } from "./sharp.ts";

/** Which features of which images. */
export interface ImageFeatureOptions {
  /** The folder that all paths must stay in, or one for each path. */
  readonly root: string | readonly string[];
  /** Of the tower's folder, see `readTower`. */
  readonly preprocess: PreprocessSettings;
  /** `LoadedTower.hash`. */
  readonly towerHash: string;
  /** Names, see `parseFeatures`. */
  readonly features: readonly string[];
  /** @default "layer" */
  readonly featureNorm?: FeatureNorm;
  /** Released V2 weights were trained on blue, green, red. @default "rgb" */
  readonly channelOrder?: "rgb" | "bgr";
  /** @default "apply" */
  readonly exif?: "apply" | "ignore";
  /** Adds a row for the image of zeros, which some adapters see in place of a missing one. @default false */
  readonly withZeroImage?: boolean;
  /** Where features are kept. Absent: nowhere. */
  readonly cacheDir?: string;
  /** Threads that decode. @default the cores of the machine, up to 8 */
  readonly threads?: number;
  /** Images of one pass of the tower. @default 8 */
  readonly batchSize?: number;
  /** Receives how many images have features, and of how many. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Receives what is used otherwise than it may have been meant: frames, a damaged cache. */
  readonly onWarning?: (message: string) => void;
  /** Ends the work; the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** How the pack of features is found: several hosts agree on one. @default in the cache, else it is computed here */
  readonly find?: FindFeatures;
}

/** What this process has of the features of some images, and can do for them. */
export interface OwnFeatures {
  /** SHA-256 of all that features depend on but the engine: hosts with the same one see the same images through the same tower. */
  readonly inputs: string;
  readonly engineName: string;
  /** Returns what an engine has made of them, if the cache has it. */
  read(engineName: string): Promise<FeaturePack | undefined>;
  /** Computes them on the tower's engine. */
  make(): Promise<FeaturePack>;
  /** Puts what an engine has made into the cache. */
  keep(engineName: string, pack: FeaturePack): Promise<void>;
}

/** Finds the features of some images, or has them made. */
export type FindFeatures = (own: OwnFeatures) => Promise<{ readonly pack: FeaturePack; readonly isCached: boolean }>;

/** Takes them from the cache, else computes them here. */
export const findFeatures: FindFeatures = async ({ engineName, read, make, keep }) => {
  const cached = await read(engineName);
  if (cached) return { pack: cached, isCached: true };
  const pack = await make();
  await keep(engineName, pack);
  return { pack, isCached: false };
};

/** Features of images, a row for each that is unlike the others. */
export interface ImageFeatures {
  /** Rows, then the shape of one: `[rows, C]` of vectors, `[rows, M, width]` of tokens. */
  readonly shape: readonly number[];
  /** Over a SharedArrayBuffer. */
  readonly values: Float32Array;
  /** The row of each path; -1 if its image cannot be used. */
  readonly rowOf: Int32Array;
  /** The row of the image of zeros, if it was asked for. */
  readonly zeroRow: number | undefined;
  /** Paths whose image cannot be used, by their place in the list, and why. */
  readonly problems: readonly { readonly index: number; readonly reason: string }[];
  /** SHA-256 of the numbers and of whose they are: part of the hash of the data. */
  readonly hash: string;
  readonly isCached: boolean;
}

/**
 * Computes the features of image files on the tower's engine, or takes them from the cache. The same image twice is one row;
 * the same files give the same numbers in any order, for any number of threads.
 *
 * @param paths relative to `root`, or each to its own.
 * @throws InputError on features that the tower has not, or if sharp is missing; images that cannot be used are `problems`.
 * @example
 * const { config, image, preprocess, hash } = await readTower("clip-vit-base-patch32");
 * const tower = createTower(engine, config, image);
 * const options = { root: "photos", preprocess, towerHash: hash, features: globalFeatures(config), cacheDir: "cache" };
 * const { shape, values, rowOf } = await imageFeatures(tower, ["a.jpg", "b.png"], options); // shape [2, 4 · 768]
 */
export async function imageFeatures(
  tower: Tower,
  paths: readonly string[],
  options: ImageFeatureOptions,
): Promise<ImageFeatures> {
  const {
    featureNorm = "layer",
    channelOrder = "rgb",
    exif = "apply",
    withZeroImage = false,
    cacheDir,
    onWarning = () => {},
    signal,
  } = options;
  parseFeatures(options.features, tower.config); // before any image is read
  signal?.throwIfAborted();
  const pool = openImagePool(options.threads ?? Math.min(availableParallelism(), 8), signal);
  try {
    const files = await hashImages(pool, paths, options.root);
    const taskOf = firstOf(files, paths, { exif, channelOrder, preprocess: options.preprocess });
    const images = [...[...taskOf.keys()].toSorted(), ...(withZeroImage ? [ZERO_IMAGE] : [])];
    const input = { images, towerHash: options.towerHash, features: options.features, featureNorm, channelOrder, exif };
    const keyOf = (engineName: string) => featureKey({ ...input, engineName });
    const { pack, isCached } = await (options.find ?? findFeatures)({
      inputs: keyOf(""),
      engineName: tower.engine.name,
      read: async (engineName) =>
        cacheDir === undefined ? undefined : readCache(cacheDir, keyOf(engineName), onWarning),
      make: () => computeFeatures(tower, pool, images, taskOf, { ...options, featureNorm }),
      async keep(engineName, made) {
        if (cacheDir !== undefined) await writeFeaturePack(cacheDir, keyOf(engineName), made);
      },
    });
    return { ...rowsOf(files, pack), hash: packHash(pack), isCached };
  } finally {
    await pool.close();
  }
}

/** A damaged pack is computed again, and said. */
async function readCache(cacheDir: string, key: string, onWarning: (message: string) => void) {
  try {
    return await readFeaturePack(cacheDir, key);
  } catch (error) {
    onWarning(`${(error as Error).message}: the features are computed again`);
    return undefined;
  }
}

/** The real path of an image and its hash, or why it has none. */
type FoundImage = { readonly path: string; readonly sha256: string } | { readonly reason: string };

async function hashImages(
  pool: ImagePool,
  paths: readonly string[],
  root: string | readonly string[],
): Promise<FoundImage[]> {
  if (typeof root !== "string" && root.length !== paths.length) {
    throw new RangeError(`Cannot find images: ${root.length} roots for ${paths.length} paths, one for each is needed`);
  }
  const found: FoundImage[] = [];
  const real: { path: string; index: number }[] = [];
  for (const [index, path] of paths.entries()) {
    try {
      real.push({ path: await imagePath(typeof root === "string" ? root : (root[index] ?? ""), path), index });
    } catch (error) {
      found[index] = { reason: reasonOf(error) };
    }
  }
  const tasks = real.map(({ path, index }): ImageTask => {
    return { path, name: paths[index] ?? path, exif: "apply", channelOrder: "rgb", preprocess: undefined };
  });
  await pool.run(tasks, (result, i) => {
    const { path, index } = real[i] ?? { path: "", index: 0 };
    found[index] = result instanceof Error ? { reason: reasonOf(result) } : { path, sha256: result.sha256 };
  });
  return found;
}

/** Problems of an image are said; anything else is a fault, and is thrown. */
function reasonOf(error: unknown): string {
  if (error instanceof InputError && !error.message.startsWith(NO_DECODER)) return error.message;
  throw error;
}

/** What has to be prepared for each image that is unlike the others. */
function firstOf(
  files: readonly FoundImage[],
  paths: readonly string[],
  how: Pick<ImageTask, "exif" | "channelOrder" | "preprocess">,
): Map<string, ImageTask> {
  const tasks = new Map<string, ImageTask>();
  for (const [i, file] of files.entries()) {
    if ("reason" in file || tasks.has(file.sha256)) continue;
    tasks.set(file.sha256, { path: file.path, name: paths[i] ?? file.path, ...how });
  }
  return tasks;
}

async function computeFeatures(
  tower: Tower,
  pool: ImagePool,
  images: readonly string[],
  taskOf: ReadonlyMap<string, ImageTask>,
  options: ImageFeatureOptions & { readonly featureNorm: FeatureNorm },
): Promise<FeaturePack> {
  const { features, featureNorm, batchSize = 8, onProgress, onWarning = () => {} } = options;
  const { shape } = parseFeatures(features, tower.config);
  const size = shape.reduce((a, b) => a * b, 1);
  const values = allocateFeatures(images.length, shape);
  const good: string[] = [];
  const bad: (readonly [string, string])[] = [];
  let waiting: { readonly sha256: string; readonly pixels: Float32Array }[] = [];
  const flush = async () => {
    const pixels = waiting.map((one) => one.pixels);
    const found = await towerFeatures(tower, pixels, { features, featureNorm, batchSize });
    values.set(found.values, good.length * size);
    good.push(...waiting.map(({ sha256 }) => sha256));
    waiting = [];
    onProgress?.(good.length + bad.length, images.length);
  };
  const tasks = images.flatMap((sha256) => taskOf.get(sha256) ?? []); // the image of zeros has none, and is the last
  await pool.run(tasks, async (result, i) => {
    const sha256 = images[i] ?? "";
    if (result instanceof Error) {
      bad.push([sha256, reasonOf(result)]);
    } else if (result.sha256 !== sha256 || !result.pixels) {
      throw new InputError("Cannot compute features", `${tasks[i]?.path} was changed while it was read: begin again`);
    } else {
      for (const warning of result.warnings ?? []) onWarning(warning);
      waiting.push({ sha256, pixels: result.pixels });
    }
    if (waiting.length === batchSize) await flush();
  });
  if (images.at(-1) === ZERO_IMAGE) waiting.push({ sha256: ZERO_IMAGE, pixels: zeroImage(tower.config) });
  await flush();
  return { shape, images: good, bad, values: values.subarray(0, good.length * size) };
}

function rowsOf(files: readonly FoundImage[], { shape, images, bad, values }: FeaturePack) {
  const rows = new Map(images.map((sha256, row) => [sha256, row]));
  const reasons = new Map(bad);
  const problems: { index: number; reason: string }[] = [];
  const rowOf = Int32Array.from(files, (file, index) => {
    const row = "reason" in file ? undefined : rows.get(file.sha256);
    if (row !== undefined) return row;
    const reason = "reason" in file ? file.reason : (reasons.get(file.sha256) ?? "");
    problems.push({ index, reason });
    return -1;
  });
  return { shape: [images.length, ...shape], values, rowOf, zeroRow: rows.get(ZERO_IMAGE), problems };
}
