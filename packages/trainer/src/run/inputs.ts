/**
 * Everything a run reads, checked before anything is written: base, tokenizer, data, and what follows from them: the adapter's
 * layout, the split, the plan. The order is cheapest first, so that a wrong flag is not found after a minute of tokenising.
 */
import { InputError, type ModelConfig, type WeightImage } from "@zerogate/core";
import type { Compute } from "@zerogate/core/engine";
import { baseHash, baseStamp, cachedBaseHash, cacheFolder, weightBytes } from "@zerogate/core/node";
import { listDataFiles, loadTemplate, type Template, type Tokenizer } from "@zerogate/data";
import type { TrainConfig } from "@zerogate/run-config";
import { dataPaths, type EngineChoice, loadOptions } from "@zerogate/run-config";
import type { FindFeatures } from "@zerogate/vision";
import type { WeightFolder } from "@zerogate/workers";
import { openAdapter, type StartingAdapter } from "../open/adapter.ts";
import { loadBase, openBase } from "../open/base.ts";
import { lengthFor, type Progress } from "../open/data.ts";
import { queryMakerOf } from "../open/frozen_queries.ts";
import { checkLinks } from "../open/links.ts";
import { openTower } from "../open/tower.ts";
import { workersProblem } from "./capacity.ts";
import { type PlannedData, planData } from "./planned_data.ts";

/** All that a run works with, opened and checked. */
export interface RunInputs extends PlannedData, StartingAdapter {
  readonly model: ModelConfig;
  /** With `isolate` each worker reads the base for itself. */
  readonly weights: WeightImage | WeightFolder;
  readonly weightBytes: number;
  readonly engine: EngineChoice;
  /** What products are computed in, if the config says `auto`. */
  readonly compute: Compute;
  readonly tokenizer: Tokenizer;
  readonly template: Template;
  /** A number of cells that no step exceeds. */
  readonly maxCells: number;
  readonly hashes: {
    readonly base: string;
    readonly data: string;
    readonly tokenizer: string;
    readonly plan: string;
  };
}

/**
 * @param caches Whether tokens and the base's hash may come from the cache, or all of it is read and made anew.
 * @param find finds features of images; several hosts do it together.
 * @throws InputError for whatever of it cannot be used; nothing is written but the cache.
 */
export async function openInputs(
  config: TrainConfig,
  progress: Progress,
  caches: "used" | "passed over" = "used",
  find?: FindFeatures,
): Promise<RunInputs> {
  const { onPhase, onWarning, signal } = progress;
  const tooMany = workersProblem(config.workers);
  if (tooMany !== undefined) throw new InputError("Cannot use this configuration", tooMany);
  await checkLinks(config, [config.initAdapter]);
  const opened = await openBase(config, onWarning);
  const { model, tokenizer, engine, compute } = opened;
  const opening = await openTower(config, onWarning, find);
  const adapter = await openAdapter(config, model, opening, onWarning);
  const isFrozen = config.visionParts === "frozen";
  const queries = isFrozen ? queryMakerOf({ layout: adapter.layout, params: adapter.initialParams }) : undefined;
  const tower = opening && { ...opening, queries };
  const template = await loadTemplate(config.template, tokenizer, config.turns);
  lengthFor(config.maxLength, model); // throws
  await listDataFiles([...dataPaths(config.data), ...(config.validationData ?? [])]); // before the base, which may take minutes
  const stamp = await baseStamp(config.model);
  const weights = await loadBase(opened, onPhase);
  const cacheDir = caches === "used" ? cacheDirOf(config, onWarning) : undefined;
  // Beside everything below: if it is not in the cache, it takes longer than to load the base.
  const hashing = cacheDir === undefined ? baseHash(config.model) : cachedBaseHash(config.model, cacheDir);
  hashing.catch(() => {}); // awaited below; what fails before that is reported instead
  const { layout } = adapter;
  const planned = await planData(config, { model, tokenizer, template, layout, cacheDir, tower }, progress);
  onPhase({ name: "hashing the base" });
  const base = await hashing;
  await checkUnchanged(config.model, stamp);
  signal.throwIfAborted();
  onPhase(undefined);
  return {
    model,
    weights: "folder" in weights ? { ...weights, base: { hash: base, stamp } } : weights,
    engine,
    compute,
    weightBytes: await weightBytes(config.model, model, loadOptions(engine)),
    tokenizer,
    template,
    ...planned,
    maxCells: planned.plan.maxCells,
    ...adapter,
    hashes: {
      base,
      data: dataHash(planned),
      tokenizer: tokenizer.hash,
      plan: planned.plan.hash,
    },
  };
}

function dataHash({ train, heldOut }: PlannedData): string {
  return heldOut?.set === "validation" ? `${train.tokens.hash}+${heldOut.tokens.hash}` : train.tokens.hash;
}

/** What was loaded must be what was hashed. */
async function checkUnchanged(folder: string, stamp: string): Promise<void> {
  if ((await baseStamp(folder)) === stamp) return;
  throw new InputError(`Cannot use the base in ${folder}`, "its files changed while they were read: try again");
}

/** Returns where tokens and the base's hash are kept; undefined, with a note, if there is no such place. */
export function cacheDirOf({ cacheDir }: TrainConfig, onWarning: (message: string) => void): string | undefined {
  const folder = cacheDir ?? cacheFolder();
  if (folder === undefined) {
    onWarning("this user has no home folder: tokens are kept nowhere and made again by every run; give --cache-dir");
  }
  return folder;
}
