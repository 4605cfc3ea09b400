/** Opening data: records as tokens, and what became of them, which is counted and reported. */
import { InputError, type ModelConfig, type TokenSet } from "@zerogate/core";
import type { SampleTokens } from "@zerogate/core/node";
import {
  cutCells,
  type DataPart,
  measureSamples,
  type PreparedTokens,
  type PrepareOptions,
  prepareParts,
  prepareTokens,
  type Template,
  type Tokenizer,
} from "@zerogate/data";
import type { TrainConfig } from "@zerogate/run-config";
import { countData, type DataCounts, dataWarnings } from "../run/data_counts.ts";
import { type SeenTokens, seeImages } from "./images.ts";
import type { Progress } from "./progress.ts";
import type { OpenedTower } from "./tower.ts";

export type { Progress } from "./progress.ts";

export interface DataRequest extends Pick<TrainConfig, "bos" | "labels" | "skipBadRecords"> {
  readonly name: DataCounts["name"];
  readonly paths: readonly string[];
  /** Parts with columns and templates of their own, in place of `paths`. @default none */
  readonly parts?: readonly DataPart[] | undefined;
  readonly template: Template;
  readonly maxLength: number;
  /** Folder of the token cache; undefined: tokens are made anew and kept nowhere. */
  readonly cacheDir: string | undefined;
  /** What sees the images of records. @default none: records are read without them */
  readonly tower?: OpenedTower | undefined;
  /** Of ScienceQA folders whose paths name none. @default "train" */
  readonly split?: string;
  /** How ScienceQA and conversations are read. @default as a run's config has them */
  readonly scienceFormat?: TrainConfig["scienceFormat"];
  readonly captions?: boolean;
  readonly conversation?: TrainConfig["conversation"];
  readonly fields?: TrainConfig["fields"];
  /** Bytes of tokens in memory at most, of samples without images; more of them stay in the cache. @default no limit */
  readonly memoryBytes?: number | undefined;
}

export interface OpenedData<Tokens extends SampleTokens = TokenSet> extends SeenTokens<Tokens> {
  readonly counts: DataCounts;
  /** Of parts, the numbers behind their last records. */
  readonly recordEnds?: readonly number[] | undefined;
}

/** Samples of one of the token sets, cut into cells once: the same for every evaluation. */
export interface HeldOut {
  readonly set: "train" | "validation";
  readonly tokens: SampleTokens;
  readonly recordOf: PreparedTokens["recordOf"];
  /** Of the records that have some. */
  readonly images?: PreparedTokens["images"];
  readonly samples: Int32Array;
  readonly cells: readonly (readonly number[])[];
}

const DEFAULT_MAX_LENGTH = 512;

/**
 * Returns the tokens of a record, by default 512 or the model's context.
 * @throws InputError if it is more than the context.
 */
export function lengthFor(
  maxLength: number | undefined,
  { contextLength }: Pick<ModelConfig, "contextLength">,
): number {
  const length = maxLength ?? Math.min(DEFAULT_MAX_LENGTH, contextLength);
  if (length <= contextLength) return length;
  const room = `the model's context is ${contextLength} tokens`;
  throw new InputError("Cannot use this configuration", `maxLength is ${length}, ${room}: use at most that`);
}

/** Tokenises records, or takes their tokens from the cache. Throws an InputError for files that cannot be used. */
export async function openData(
  tokenizer: Tokenizer,
  request: DataRequest & { readonly memoryBytes?: undefined },
  progress: Progress,
): Promise<OpenedData>;
export async function openData(
  tokenizer: Tokenizer,
  request: DataRequest,
  progress: Progress,
): Promise<OpenedData<SampleTokens>>;
export async function openData(
  tokenizer: Tokenizer,
  request: DataRequest,
  progress: Progress,
): Promise<OpenedData<SampleTokens>> {
  const { name, paths, template, bos, labels, maxLength, skipBadRecords, cacheDir, tower } = request;
  const { onPhase, onWarning, signal } = progress;
  const options: PrepareOptions = {
    paths,
    split: request.split,
    scienceFormat: request.scienceFormat,
    captions: request.captions,
    conversation: request.conversation,
    fields: request.fields,
    images: tower !== undefined,
    imageRoot: tower?.imageRoot,
    tokenizer,
    template,
    bos,
    rule: labels,
    maxLength,
    skipBad: skipBadRecords,
    cacheDir,
    onWarning,
    onProgress: (done, total) => onPhase({ name: `tokenising ${name}`, done, total }),
    signal,
  };
  const { eosId } = tokenizer;
  // Samples with images are in memory.
  const memoryBytes = (tower ? undefined : request.memoryBytes) ?? Number.POSITIVE_INFINITY;
  const all = { ...options, memoryBytes };
  const parts = request.parts && (await prepareParts(request.parts, all));
  const read = parts ?? (await prepareTokens(all));
  const { prepared, imagesOf } = tower
    ? await seeImages(read as PreparedTokens, tower, { ...request, eosId }, progress)
    : { prepared: read, imagesOf: () => [] };
  const counts = countData(name, prepared, { maxLength, eosId });
  for (const warning of dataWarnings(counts)) onWarning(warning);
  return { prepared, imagesOf, counts, recordEnds: parts?.recordEnds };
}

/** All samples of a set, as an evaluation takes them. */
export function wholeSet(
  set: HeldOut["set"],
  { tokens, recordOf, images }: PreparedTokens<SampleTokens>,
  cellTokens: number,
): HeldOut {
  const samples = allSamples(tokens);
  return { set, tokens, recordOf, images, samples, cells: cellsOf(tokens, samples, cellTokens) };
}

export function allSamples({ offsets }: SampleTokens): Int32Array {
  return Int32Array.from({ length: offsets.length - 1 }, (_, i) => i);
}

export function cellsOf(tokens: SampleTokens, samples: Int32Array, cellTokens: number): readonly (readonly number[])[] {
  return cutCells(samples, measureSamples(tokens).lengths, cellTokens);
}
