/**
 * Tokenised data on disk, under the hash of everything that it depends on; nothing in it ever goes stale.
 *
 *   ids (i32)  targets (u8)  offsets (f64)  recordOf (i32)  images (JSON)        the body of a sealed file, "ZGTOKENS"
 *
 * Nothing that the file says of itself is believed: its tokens are hashed and measured again. A file that is
 * damaged or of another format is as good as none: the caller tokenises again.
 */
import { createHash } from "node:crypto";
import { resolve } from "node:path";
import { type ChatTemplate, isChatTemplate } from "@zerogate/core";
import { isCode, type SampleTokens } from "@zerogate/core/node";
import type { DataFile } from "./data_files.ts";
import type { SampleFormat } from "./encode_sample.ts";
import { type CachedTokens, readTokenFileOf, type TokensToCache, writeTokenFile } from "./token_file.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** Part of every key: raise it when the format of the file or the way of tokenising changes. */
const FORMAT_VERSION = 5;

/** Part of the key of chats: raise it with the version of the Jinja library, or when labels are found otherwise. */
const CHAT_RULE = "jinja 0.5.11, spans 2";

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

/**
 * Puts the tokens into the cache in one step: readers see the whole file or none. Returns the same tokens: in memory if that is
 * where they were, else in the file.
 */
export async function writeTokenCache(cacheDir: string, key: string, cached: TokensToCache): Promise<SampleTokens> {
  const path = cachePath(cacheDir, key);
  const idsAt = await writeTokenFile(path, key, cached);
  const { tokens, stats } = cached;
  if ("ids" in tokens) return tokens;
  const { offsets, labelled, hash } = tokens;
  return { path, idsAt, targetAt: idsAt + 4 * stats.tokens, offsets, labelled, hash };
}

/**
 * The tokens under this key, or undefined if there are none.
 *
 * @param memoryBytes of tokens that come into memory; more of them stay in the file.
 * @throws Error if the file is damaged, saying how.
 */
export async function readTokenCache(
  cacheDir: string,
  key: string,
  memoryBytes: number = Number.POSITIVE_INFINITY,
): Promise<CachedTokens<SampleTokens> | undefined> {
  try {
    const { key: _, ...cached } = await readTokenFileOf(cachePath(cacheDir, key), { key, memoryBytes });
    return cached;
  } catch (error) {
    if (isCode((error as Error).cause, "ENOENT")) return undefined;
    throw error;
  }
}

const cachePath = (cacheDir: string, key: string): string => resolve(cacheDir, `${key}.tokens`);
