/** The format of token files: docs/formats.md. */

import { resolve } from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { TokenSet } from "@zerogate/core";
import { readSealedFile, type SampleTokens, type SealedKind, writeSealedFile } from "@zerogate/core/node";
import * as z from "zod";
import type { UnreadField } from "./reading.ts";
import type { RecordProblem } from "./record_problems.ts";
import { imagesFromBytes, imagesToBytes, type StoredImages } from "./stored_images.ts";
import { keepInFile, takeIntoMemory } from "./token_body.ts";
import { bytesOf, type TokenStats, tokenStats } from "./token_set.ts";
import { type SpilledTokens, TOKEN_BYTES } from "./token_sink.ts";
import type { TokenizedData } from "./tokenize.ts";

/** What a file of the token cache holds. */
export interface CachedTokens<Tokens extends SampleTokens = TokenSet> extends TokenizedData<Tokens> {
  readonly skipped: number;
  readonly problems: readonly RecordProblem[];
  readonly unread: readonly UnreadField[];
  /** Of the records that have some. */
  readonly images: readonly StoredImages[];
}

interface CacheHeader {
  readonly key: string;
  readonly tokens: number;
  readonly samples: number;
  readonly imageBytes: number;
  readonly hash: string;
  readonly stats: TokenStats;
  readonly skipped: number;
  readonly problems: readonly RecordProblem[];
  readonly unread: readonly UnreadField[];
}

const count = z.int().min(0);
const words = z.string().max(100_000);
const headerSchema: z.ZodType<CacheHeader> = z.strictObject({
  key: words,
  tokens: count,
  samples: count,
  imageBytes: count,
  hash: words,
  stats: z.strictObject({
    samples: count,
    tokens: count,
    labelled: count,
    truncated: count,
    droppedNoTarget: count,
    longest: count,
    meanLength: z.number().min(0),
    uncut: z.strictObject({
      longest: count,
      keeping: z.array(z.strictObject({ share: z.number().min(0).max(1), some: count, whole: count })),
    }),
  }),
  skipped: count,
  problems: z.array(
    z.strictObject({
      file: words,
      index: count.exactOptional(),
      line: count.exactOptional(),
      field: words.exactOptional(),
      found: words,
      expected: words,
      places: z.array(count),
      count,
    }),
  ),
  unread: z.array(z.strictObject({ name: words, records: count })),
});

const kind: SealedKind<CacheHeader> = {
  magic: "ZGTOKENS",
  name: "a token file",
  maxHeaderBytes: 1_000_000,
  parseHeader: (json) => headerSchema.parse(json),
};

/** What is put into a token file: tokens in memory, or those that were written to files while records were read. */
export interface TokensToCache extends Omit<CachedTokens, "tokens"> {
  readonly tokens: TokenSet | SpilledTokens;
}

/** Writes the file in one step. Returns the byte where its ids begin. */
export async function writeTokenFile(path: string, key: string, cached: TokensToCache): Promise<number> {
  const { tokens, recordOf, stats, skipped, problems, unread } = cached;
  const imageBytes = imagesToBytes(cached.images);
  const sizes = { tokens: stats.tokens, samples: recordOf.length, imageBytes: imageBytes.length };
  const header: CacheHeader = { key, ...sizes, hash: tokens.hash, stats, skipped, problems, unread };
  const parts = "ids" in tokens ? [bytesOf(tokens.ids), tokens.target] : [tokens.files.ids(), tokens.files.target()];
  const body = [...parts, bytesOf(tokens.offsets), bytesOf(recordOf), imageBytes];
  return await writeSealedFile(path, kind, header, body);
}

/** A token file by its path, and the key that it is for; its tokens stay there. @throws Error if it is damaged, saying how. */
export async function readTokenFile(path: string): Promise<CachedTokens<SampleTokens> & { readonly key: string }> {
  return await readTokenFileOf(resolve(path), { memoryBytes: 0 });
}

/**
 * @param path absolute
 * @param key that the file has to be for; undefined for any.
 * @param memoryBytes of tokens that come into memory; more of them stay in the file.
 */
export async function readTokenFileOf(
  path: string,
  { key: wanted, memoryBytes }: { readonly key?: string; readonly memoryBytes: number },
): Promise<CachedTokens<SampleTokens> & { readonly key: string }> {
  const found = await readSealedFile(path, kind, async (opened) => {
    const { header, bodyBytes, fill, fail } = opened;
    // Nothing is allocated on the header's word alone: the sizes have to add up to the file's.
    const ofSamples = 8 * (header.samples + 1) + 4 * header.samples;
    const own = TOKEN_BYTES * header.tokens + ofSamples + header.imageBytes;
    if (header.key !== (wanted ?? header.key) || own !== bodyBytes) throw fail("its header and its size differ");
    const isLarge = TOKEN_BYTES * header.tokens > memoryBytes;
    const body = isLarge ? await keepInFile(opened, path) : await takeIntoMemory(opened);
    const imageBytes = new Uint8Array(header.imageBytes);
    await fill(imageBytes);
    return { ...body, header, imageBytes, fail };
  });
  const { header, recordOf, imageBytes, fail } = found;
  const tokens = await found.tokens(fail);
  if (tokens.hash !== header.hash) throw fail("its tokens are not those whose hash it names");
  const stats = tokenStats(tokens, header.stats);
  if (!isDeepStrictEqual(stats, header.stats)) throw fail("its header counts other tokens than it holds");
  const { key, skipped, problems, unread } = header;
  return { key, tokens, recordOf, stats, skipped, problems, unread, images: imagesOf(imageBytes, fail) };
}

function imagesOf(bytes: Uint8Array, fail: (problem: string) => Error): readonly StoredImages[] {
  try {
    return imagesFromBytes(bytes);
  } catch {
    throw fail("its images are no list of images of its records");
  }
}
