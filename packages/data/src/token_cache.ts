/**
 * Tokenised data on disk, under the hash of everything that it depends on; nothing in it ever goes stale.
 *
 *   ids (i32)  targets (u8)  offsets (f64)  recordOf (i32)  images (JSON)        the body of a sealed file, "ZGTOKENS"
 *
 * Nothing that the file says of itself is believed: its tokens are hashed and measured again. A file that is
 * damaged or of another format is as good as none: the caller tokenises again.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { type ChatTemplate, isChatTemplate } from "@zerogate/core";
import { isCode, readSealedFile, type SealedKind, writeSealedFile } from "@zerogate/core/node";
import * as z from "zod";
import type { DataFile } from "./data_files.ts";
import type { SampleFormat } from "./encode_sample.ts";
import type { UnreadField } from "./reading.ts";
import type { RecordProblem } from "./record_problems.ts";
import { imagesFromBytes, imagesToBytes, type StoredImages } from "./stored_images.ts";
import { allocateTokens, bytesOf, faultOf, hashTokens, type TokenStats, tokenStats } from "./token_set.ts";
import type { TokenizedData } from "./tokenize.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** Part of every key: raise it when the format of the file or the way of tokenising changes. */
const FORMAT_VERSION = 5;

/** Part of the key of chats: raise it with the version of the Jinja library, or when labels are found otherwise. */
const CHAT_RULE = "jinja 0.5.11, spans 2";

/** What a file of the token cache holds. */
export interface CachedTokens extends TokenizedData {
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

/** What tokens depend on. Paths do not belong to it: the same bytes in another place give the same tokens. */
export interface CacheInput extends SampleFormat {
  readonly files: readonly DataFile[];
  readonly tokenizer: Tokenizer;
  /** How records are read: plain JSON. */
  readonly reading: readonly unknown[];
}

/** SHA-256 over all of it, hexadecimal. */
export function tokenCacheKey(input: CacheInput): string {
  const { files, tokenizer, template, bos, rule, maxLength, reading } = input;
  const parts = [
    FORMAT_VERSION,
    files.map(({ sha256 }) => sha256),
    [tokenizer.hash, tokenizer.frontIds(bos), tokenizer.eosId, tokenizer.files.modelVocabSize ?? null],
    isChatTemplate(template)
      ? ["chat", CHAT_RULE, template.chat, tokensInOrder(template), template.turns]
      : [template.withInput, template.withoutInput],
    [rule, maxLength, reading],
  ];
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}

/** The order of names in a file decides nothing. */
const tokensInOrder = ({ tokens }: ChatTemplate) =>
  Object.entries(tokens).toSorted(([a], [b]) => Number(a > b) - Number(a < b));

/** Puts the tokens into the cache in one step: readers see the whole file or none. */
export async function writeTokenCache(cacheDir: string, key: string, cached: CachedTokens): Promise<void> {
  const { tokens, recordOf, stats, skipped, problems, unread } = cached;
  const imageBytes = imagesToBytes(cached.images);
  const sizes = { tokens: tokens.ids.length, samples: recordOf.length, imageBytes: imageBytes.length };
  const header: CacheHeader = { key, ...sizes, hash: tokens.hash, stats, skipped, problems, unread };
  const body = [bytesOf(tokens.ids), tokens.target, bytesOf(tokens.offsets), bytesOf(recordOf), imageBytes];
  await writeSealedFile(cachePath(cacheDir, key), kind, header, body);
}

/** The tokens under this key, or undefined if there are none. @throws Error if the file is damaged, saying how. */
export async function readTokenCache(cacheDir: string, key: string): Promise<CachedTokens | undefined> {
  try {
    const { key: _, ...cached } = await readTokens(cachePath(cacheDir, key), key);
    return cached;
  } catch (error) {
    if (isCode((error as Error).cause, "ENOENT")) return undefined;
    throw error;
  }
}

/** A token file by its path, and the key that it is for. @throws Error if it is damaged, saying how. */
export async function readTokenFile(path: string): Promise<CachedTokens & { readonly key: string }> {
  return await readTokens(path);
}

/** @param wanted the key that the file has to be for; undefined for any. */
async function readTokens(path: string, wanted?: string): Promise<CachedTokens & { readonly key: string }> {
  const found = await readSealedFile(path, kind, async ({ header, bodyBytes, fill, fail }) => {
    // Nothing is allocated on the header's word alone: the sizes have to add up to the file's.
    const own = 4 * header.tokens + header.tokens + 8 * (header.samples + 1) + 4 * header.samples + header.imageBytes;
    if (header.key !== (wanted ?? header.key) || own !== bodyBytes) throw fail("its header and its size differ");
    const arrays = allocateTokens(header.tokens, header.samples);
    const recordOf = new Int32Array(header.samples);
    const imageBytes = new Uint8Array(header.imageBytes);
    for (const part of [bytesOf(arrays.ids), arrays.target, bytesOf(arrays.offsets), bytesOf(recordOf), imageBytes])
      await fill(part);
    return { header, arrays, recordOf, imageBytes, fail };
  });
  const { header, arrays, recordOf, imageBytes, fail } = found;
  const fault = faultOf(arrays, recordOf);
  if (fault !== undefined) throw fail(fault);
  const tokens = { ...arrays, hash: hashTokens(arrays) };
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

const cachePath = (cacheDir: string, key: string): string => join(cacheDir, `${key}.tokens`);
