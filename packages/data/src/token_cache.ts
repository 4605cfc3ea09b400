/**
 * Tokenised data on disk, under the hash of everything that it depends on; nothing in it ever goes stale.
 *
 *   "ZGTOKENS"  u32 header bytes  header JSON  ids (i32)  targets (u8)  offsets (f64)  recordOf (i32)  SHA-256 of all before
 *
 * Little-endian. Nothing that the file says of itself is believed: its tokens are hashed and measured again. A file that is
 * damaged or of another format is as good as none: the caller tokenises again.
 */
import { createHash } from "node:crypto";
import { type FileHandle, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { parseStrictJson } from "@zerogate/core/formats";
import { isCode, openRegularFile, writeFileAtomic } from "@zerogate/core/node";
import * as z from "zod";
import type { DataFile } from "./data_files.ts";
import type { SampleFormat } from "./encode_sample.ts";
import type { UnreadField } from "./reading.ts";
import type { RecordProblem } from "./record_problems.ts";
import { allocateTokens, bytesOf, faultOf, hashTokens, type TokenStats, tokenStats } from "./token_set.ts";
import type { TokenizedData } from "./tokenize.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** Part of every key: raise it when the format of the file or the way of tokenising changes. */
const FORMAT_VERSION = 4;
const MAGIC = "ZGTOKENS";
const PREFIX_BYTES = MAGIC.length + 4;
const MAX_HEADER_BYTES = 1_000_000;
const HASH_BYTES = 32;

/** What a file of the token cache holds. */
export interface CachedTokens extends TokenizedData {
  readonly skipped: number;
  readonly problems: readonly RecordProblem[];
  readonly unread: readonly UnreadField[];
}

interface CacheHeader {
  readonly key: string;
  readonly tokens: number;
  readonly samples: number;
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

/** What tokens depend on. Paths do not belong to it: the same bytes in another place give the same tokens. */
export interface CacheInput extends SampleFormat {
  readonly files: readonly DataFile[];
  readonly tokenizer: Tokenizer;
  readonly skipBad: boolean;
}

/** SHA-256 over all of it, hexadecimal. */
export function tokenCacheKey({ files, tokenizer, template, bos, rule, maxLength, skipBad }: CacheInput): string {
  const parts = [
    FORMAT_VERSION,
    files.map(({ sha256 }) => sha256),
    [tokenizer.hash, tokenizer.frontIds(bos), tokenizer.eosId, tokenizer.files.modelVocabSize ?? null],
    [template.withInput, template.withoutInput],
    [rule, maxLength, skipBad],
  ];
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}

/** Puts the tokens into the cache in one step: readers see the whole file or none. */
export async function writeTokenCache(cacheDir: string, key: string, cached: CachedTokens): Promise<void> {
  const { tokens, recordOf, stats, skipped, problems, unread } = cached;
  const samples = recordOf.length;
  const losses = { stats, skipped, problems, unread };
  const header: CacheHeader = { key, tokens: tokens.ids.length, samples, hash: tokens.hash, ...losses };
  const headerBytes = Buffer.from(JSON.stringify(header));
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.write(MAGIC);
  prefix.writeUInt32LE(headerBytes.length, MAGIC.length);
  const parts = [prefix, headerBytes, bytesOf(tokens.ids), tokens.target, bytesOf(tokens.offsets), bytesOf(recordOf)];
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  await mkdir(cacheDir, { recursive: true });
  await writeFileAtomic(cachePath(cacheDir, key), Buffer.concat([...parts, hash.digest()]));
}

/** The tokens under this key, or undefined if there are none. @throws Error if the file is damaged, saying how. */
export async function readTokenCache(cacheDir: string, key: string): Promise<CachedTokens | undefined> {
  const path = cachePath(cacheDir, key);
  let file: FileHandle;
  try {
    file = await openRegularFile(path);
  } catch (error) {
    if (isCode((error as Error).cause, "ENOENT")) return undefined;
    throw error;
  }
  try {
    const { key: _, ...cached } = await readFile(file, path, key);
    return cached;
  } finally {
    await file.close();
  }
}

/** A token file by its path, and the key that it is for. @throws Error if it is damaged, saying how. */
export async function readTokenFile(path: string): Promise<CachedTokens & { readonly key: string }> {
  const file = await openRegularFile(path);
  try {
    return await readFile(file, path);
  } finally {
    await file.close();
  }
}

/** @param wanted the key that the file has to be for; undefined for any. */
async function readFile(
  file: FileHandle,
  path: string,
  wanted?: string,
): Promise<CachedTokens & { readonly key: string }> {
  const fail = (problem: string): Error => new Error(`Cannot use ${path}: ${problem}`);
  const hash = createHash("sha256");
  let position = 0;
  const fill = async (bytes: Uint8Array): Promise<void> => {
    for (let got = 0; got < bytes.length; ) {
      const { bytesRead } = await file.read(bytes, got, bytes.length - got, position);
      if (bytesRead === 0) throw fail("the file ends too early");
      got += bytesRead;
      position += bytesRead;
    }
  };
  const fillHashed = async (bytes: Uint8Array): Promise<void> => {
    await fill(bytes);
    hash.update(bytes);
  };

  const { size } = await file.stat();
  const prefix = Buffer.alloc(PREFIX_BYTES);
  await fillHashed(prefix);
  const headerBytes = prefix.readUInt32LE(MAGIC.length);
  if (prefix.toString("latin1", 0, MAGIC.length) !== MAGIC || headerBytes > Math.min(size, MAX_HEADER_BYTES)) {
    throw fail("it is not a token file");
  }
  const headerText = Buffer.alloc(headerBytes);
  await fillHashed(headerText);
  const header = parseHeader(headerText.toString());
  if (header === undefined) throw fail("its header is not that of a token file");
  // Nothing is allocated on the header's word alone: the sizes have to add up to the file's.
  const bodyBytes = 4 * header.tokens + header.tokens + 8 * (header.samples + 1) + 4 * header.samples;
  if (header.key !== (wanted ?? header.key) || PREFIX_BYTES + headerBytes + bodyBytes + HASH_BYTES !== size)
    throw fail("its header and its size differ");
  const arrays = allocateTokens(header.tokens, header.samples);
  const recordOf = new Int32Array(header.samples);
  for (const part of [bytesOf(arrays.ids), arrays.target, bytesOf(arrays.offsets), bytesOf(recordOf)])
    await fillHashed(part);
  const stored = Buffer.alloc(HASH_BYTES);
  await fill(stored);
  if (!hash.digest().equals(stored)) throw fail("its contents do not match its SHA-256");
  const fault = faultOf(arrays, recordOf);
  if (fault !== undefined) throw fail(fault);
  const tokens = { ...arrays, hash: hashTokens(arrays) };
  if (tokens.hash !== header.hash) throw fail("its tokens are not those whose hash it names");
  const stats = tokenStats(tokens, header.stats);
  if (!isDeepStrictEqual(stats, header.stats)) throw fail("its header counts other tokens than it holds");
  const { key, skipped, problems, unread } = header;
  return { key, tokens, recordOf, stats, skipped, problems, unread };
}

function parseHeader(text: string): CacheHeader | undefined {
  try {
    return headerSchema.parse(parseStrictJson(text));
  } catch {
    return undefined;
  }
}

const cachePath = (cacheDir: string, key: string): string => join(cacheDir, `${key}.tokens`);
