/** From data files to tokens, through the cache: the one call that a run needs. */
import { reason } from "@zerogate/core/node";
import { type DataFile, hashDataFile, listDataFiles } from "./data_files.ts";
import type { UnreadField } from "./reading.ts";
import type { RecordProblem } from "./record_problems.ts";
import { readRecords } from "./records.ts";
import { readTokenCache, tokenCacheKey, writeTokenCache } from "./token_cache.ts";
import { type TokenizedData, type TokenizeOptions, tokenizeRecords } from "./tokenize.ts";

/** What to read and how to tokenise it. */
export interface PrepareOptions extends TokenizeOptions {
  /** Data files or folders of them. */
  readonly paths: string | readonly string[];
  /** Leave bad records out and count them. @default false */
  readonly skipBad?: boolean;
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
  readonly isCached: boolean;
}

/** Reads and tokenises, or loads what an earlier call made of the same bytes. @throws as `readRecords` and `tokenizeRecords` do. */
export async function prepareTokens(options: PrepareOptions): Promise<PreparedTokens> {
  const { paths, cacheDir, skipBad = false, onWarning, signal } = options;
  if (cacheDir !== undefined) {
    const files: DataFile[] = [];
    for (const path of await listDataFiles(paths)) files.push(await hashDataFile(path));
    signal?.throwIfAborted();
    try {
      const cached = await readTokenCache(cacheDir, tokenCacheKey({ ...options, files, skipBad }));
      if (cached) return { ...cached, files, isCached: true };
    } catch (error) {
      onWarning?.(`${reason(error)}: tokenising again`);
    }
  }
  const { records, ...read } = await readRecords(paths, { skipBad });
  const tokenized = await tokenizeRecords(records, options);
  const prepared = { ...tokenized, ...read };
  if (cacheDir !== undefined) {
    try {
      await writeTokenCache(cacheDir, tokenCacheKey({ ...options, files: read.files, skipBad }), prepared);
    } catch (error) {
      onWarning?.(`Cannot keep the tokens in ${cacheDir}: ${reason(error)}`);
    }
  }
  return { ...prepared, isCached: false };
}
