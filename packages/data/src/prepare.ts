/** From data files to tokens, through the cache: the one call that a run needs. */
import { isChatTemplate, type TokenSet } from "@zerogate/core";
import { reason, type SampleTokens } from "@zerogate/core/node";
import { type DataFile, hashDataFile } from "./data_files.ts";
import { type DataSource, filesOf, imageRootOf, listSources } from "./data_sources.ts";
import { createEncoder } from "./encode_records.ts";
import { dataName } from "./files/data_name.ts";
import type { UnreadField } from "./reading.ts";
import type { RecordImages } from "./record_images.ts";
import { MAX_LISTED, type RecordProblem } from "./record_problems.ts";
import { type ReadOptions, streamRecords } from "./records.ts";
import { placeImages, storeImages } from "./stored_images.ts";
import { readTokenCache, tokenCacheKey, writeTokenCache } from "./token_cache.ts";
import type { TokensToCache } from "./token_file.ts";
import { type EncodedChunk, tokenStats } from "./token_set.ts";
import { createTokenSink, type TokenSink } from "./token_sink.ts";
import { checkAnyLeft, checkMaxLength, type TokenizedData, type TokenizeOptions } from "./tokenize.ts";

/** What to read and how to tokenise it. */
export interface PrepareOptions extends TokenizeOptions, ReadOptions {
  /** Data files or folders of them. */
  readonly paths: string | readonly string[];
  /** Where tokens are kept from run to run; without it every run tokenises. */
  readonly cacheDir?: string | undefined;
  /** Called if the cache cannot be read or written; the run goes on without it. */
  readonly onWarning?: (message: string) => void;
}

/** The same for data that may be too large for memory. */
export interface LargePrepareOptions extends PrepareOptions {
  /** Bytes of tokens that come into memory at most; more of them stay in the file of the cache, if there is one. */
  readonly memoryBytes: number;
}

/** Tokens of a data set, and what became of its records. */
export interface PreparedTokens<Tokens extends SampleTokens = TokenSet> extends TokenizedData<Tokens> {
  readonly files: readonly DataFile[];
  /** Bad records left out, and the first of what was wrong with them. */
  readonly skipped: number;
  readonly problems: readonly RecordProblem[];
  /** Fields other than instruction, input and output that hold something. */
  readonly unread: readonly UnreadField[];
  /** Of the records that have some, in their order; nobody has looked for the files. Empty unless `images` was asked for. */
  readonly images: readonly RecordImages[];
  readonly isCached: boolean;
}

/**
 * Reads and tokenises, or loads what an earlier call made of the same bytes.
 * @throws as `readRecords` and `tokenizeRecords` do, InputError if there is no room for tokens that do not fit into memory.
 */
export async function prepareTokens(options: LargePrepareOptions): Promise<PreparedTokens<SampleTokens>>;
export async function prepareTokens(options: PrepareOptions): Promise<PreparedTokens>;
export async function prepareTokens(
  options: PrepareOptions | LargePrepareOptions,
): Promise<PreparedTokens<SampleTokens>> {
  checkMaxLength(options);
  const { paths, cacheDir, onWarning, signal } = options;
  const memoryBytes = "memoryBytes" in options ? options.memoryBytes : undefined;
  const sources = await listSources(paths, options);
  const keyOf = (files: readonly DataFile[]) =>
    tokenCacheKey({ ...options, files, reading: readingOf(sources, options) });
  if (cacheDir !== undefined) {
    const files: DataFile[] = [];
    for (const path of sources.flatMap(filesOf)) files.push(await hashDataFile(path));
    signal?.throwIfAborted();
    try {
      const cached = await readTokenCache(cacheDir, keyOf(files), memoryBytes);
      if (cached) {
        const images = placeImages(cached.images, await imageRoots(sources, options.imageRoot));
        return { ...cached, images, files, isCached: true };
      }
    } catch (error) {
      onWarning?.(`${reason(error)}: tokenising again`);
    }
  }
  const sink = createTokenSink({ folder: cacheDir, memoryBytes, onWarning });
  try {
    const { images, ...made } = await makeTokens(options, sink);
    const key = keyOf(made.files);
    const tokens = await keepTokens(options, key, { ...made, images: storeImages(images, made.files) });
    return { ...made, tokens, images, isCached: false };
  } finally {
    await sink.close();
  }
}

/** Reads and tokenises: what was read is encoded before more is. */
async function makeTokens(options: PrepareOptions, sink: TokenSink) {
  let [added, share] = [0, 0];
  let total: number | undefined;
  const take = async (chunk: EncodedChunk) => {
    await sink.add(chunk);
    options.onProgress?.(sink.records, total ?? Math.max(added, Math.round(added / share)));
  };
  const encoder = createEncoder(options, take, () => total);
  try {
    const chats = isChatTemplate(options.template);
    const read = await streamRecords(options.paths, { ...options, chats }, async (records, places, done) => {
      options.signal?.throwIfAborted();
      [added, share] = [added + records.length, done];
      await encoder.add(records, chats ? places : undefined);
    });
    total = added;
    const refused = await encoder.end();
    const { tokens, recordOf, ...lost } = await sink.end();
    const stats = tokenStats(tokens, lost);
    checkAnyLeft(stats, sink.records, options);
    const skipped = read.skipped + refused.bad;
    const problems = [...read.problems, ...refused.byKind.values()].slice(0, MAX_LISTED);
    return { tokens, recordOf, stats, ...read, skipped, problems };
  } finally {
    await encoder.close();
  }
}

/** Puts tokens into the cache. Those in memory are as good without it, which is reported. */
async function keepTokens(
  { cacheDir, onWarning }: PrepareOptions,
  key: string,
  made: TokensToCache,
): Promise<SampleTokens> {
  const { tokens } = made;
  if (!("ids" in tokens)) return await writeTokenCache(tokens.files.folder, key, made);
  if (cacheDir === undefined) return tokens;
  try {
    return await writeTokenCache(cacheDir, key, made);
  } catch (error) {
    onWarning?.(`Cannot keep the tokens in ${cacheDir}: ${reason(error)}`);
    return tokens;
  }
}

/** How records are read, as far as it decides what they are. */
function readingOf(sources: readonly DataSource[], options: PrepareOptions): unknown[] {
  const { skipBad = false, images = false, conversation = "all", scienceFormat = "QCM-A", fields = "auto" } = options;
  const science = sources.map((source) => (source.kind === "file" ? null : [source.split, source.captions]));
  const files = sources.map((source) =>
    source.kind === "file" ? [source.list ?? null, dataName(source.path) ?? null] : null,
  );
  const ofScience = science.some((one) => one !== null) ? [scienceFormat, science] : null;
  return [skipBad, images, conversation, ofScience, fields, files];
}

async function imageRoots(sources: readonly DataSource[], imageRoot: string | undefined) {
  const roots = await Promise.all(sources.map((source) => imageRootOf(source, imageRoot)));
  return sources.flatMap((source, i) => filesOf(source).map((path) => ({ path, imageRoot: roots[i] ?? "" })));
}
