/** From data files to tokens, through the cache: the one call that a run needs. */
import { isChatTemplate } from "@zerogate/core";
import { reason } from "@zerogate/core/node";
import { type DataFile, hashDataFile } from "./data_files.ts";
import { type DataSource, filesOf, imageRootOf, listSources } from "./data_sources.ts";
import { dataName } from "./files/data_name.ts";
import type { UnreadField } from "./reading.ts";
import type { RecordImages } from "./record_images.ts";
import { MAX_LISTED, type RecordProblem } from "./record_problems.ts";
import { type ReadOptions, readRecords } from "./records.ts";
import { placeImages, storeImages } from "./stored_images.ts";
import { readTokenCache, tokenCacheKey, writeTokenCache } from "./token_cache.ts";
import { type TokenizedData, type TokenizeOptions, tokenizeRecords } from "./tokenize.ts";

/** What to read and how to tokenise it. */
export interface PrepareOptions extends TokenizeOptions, ReadOptions {
  /** Data files or folders of them. */
  readonly paths: string | readonly string[];
  /** Where tokens are kept from run to run; without it every run tokenises. */
  readonly cacheDir?: string | undefined;
  /** Called if the cache cannot be read or written; the run goes on without it. */
  readonly onWarning?: (message: string) => void;
}

/** Tokens of a data set, and what became of its records. */
export interface PreparedTokens extends TokenizedData {
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

/** Reads and tokenises, or loads what an earlier call made of the same bytes. @throws as `readRecords` and `tokenizeRecords` do. */
export async function prepareTokens(options: PrepareOptions): Promise<PreparedTokens> {
  const { paths, cacheDir, onWarning, signal } = options;
  const sources = await listSources(paths, options);
  const keyOf = (files: readonly DataFile[]) =>
    tokenCacheKey({ ...options, files, reading: readingOf(sources, options) });
  if (cacheDir !== undefined) {
    const files: DataFile[] = [];
    for (const path of sources.flatMap(filesOf)) files.push(await hashDataFile(path));
    signal?.throwIfAborted();
    try {
      const cached = await readTokenCache(cacheDir, keyOf(files));
      if (cached) {
        const images = placeImages(cached.images, await imageRoots(sources, options.imageRoot));
        return { ...cached, images, files, isCached: true };
      }
    } catch (error) {
      onWarning?.(`${reason(error)}: tokenising again`);
    }
  }
  const found = await readRecords(paths, { ...options, chats: isChatTemplate(options.template) });
  const { records, places, ...read } = found;
  const { refused, ...tokenized } = await tokenizeRecords(records, { ...options, places });
  const skipped = read.skipped + refused.bad;
  const problems = [...read.problems, ...refused.byKind.values()].slice(0, MAX_LISTED);
  const prepared = { ...tokenized, ...read, skipped, problems };
  if (cacheDir !== undefined) {
    try {
      const stored = { ...prepared, images: storeImages(read.images, read.files) };
      await writeTokenCache(cacheDir, keyOf(read.files), stored);
    } catch (error) {
      onWarning?.(`Cannot keep the tokens in ${cacheDir}: ${reason(error)}`);
    }
  }
  return { ...prepared, isCached: false };
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
