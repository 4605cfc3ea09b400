/** Tokenises records on all cores: chunks of records go to a pool of worker threads and come back in order. */
import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { setImmediate } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { InputError, type TokenSet } from "@zerogate/core";
import { decodeError, type EncodedError } from "@zerogate/core/training";
import { Piscina } from "piscina";
import type { DataRecord } from "./chat/record.ts";
import { type RenderedPart, refusedError, refusedRecords, renderPart, withRefused } from "./chat/rendered_part.ts";
import type { RenderedChat } from "./chat/spans.ts";
import { encodeChunk, type SampleFormat } from "./encode_sample.ts";
import type { InstructionRecord } from "./record.ts";
import { recordLengths } from "./record_lengths.ts";
import type { Place, ProblemList } from "./record_problems.ts";
import { type EncodedChunk, joinChunks, type TokenStats, tokenStats } from "./token_set.ts";
import type { Tokenizer } from "./tokenizer.ts";
import type { TokenizerFiles } from "./tokenizer_files.ts";

/** How records are tokenised, by how many threads. */
export interface TokenizeOptions extends SampleFormat {
  readonly tokenizer: Tokenizer;
  /** Worker threads at most. @default the cores of the machine, up to 8 */
  readonly threads?: number;
  /** Receives how many records are done. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Ends the work; the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Leave chats out that the template refuses, and count them, instead of refusing the data. @default false */
  readonly skipBad?: boolean;
  /** Where each record stands, to name it. @default its number */
  readonly places?: readonly Place[];
}

/** Records in tokens, and where each sample came from. */
export interface TokenizedData {
  readonly tokens: TokenSet;
  readonly stats: TokenStats;
  /** The record that each sample came from: an index into the records given. */
  readonly recordOf: Int32Array;
}

/** The same, with the records that were left out because the template refuses them. */
export interface TokenizedRecords extends TokenizedData {
  readonly refused: ProblemList;
}

/** What a worker thread needs at its start. */
export interface TokenizeWorkerData {
  readonly files: TokenizerFiles;
  readonly format: SampleFormat;
}

/** Errors cross threads as plain data, or they would lose their class. */
export type ChunkReply = { readonly chunk: EncodedChunk } | { readonly error: EncodedError };

const CHUNK_RECORDS = 256;
/** Below this, starting threads takes longer than the work. */
const MIN_POOL_RECORDS = 500;
/** Each thread holds a tokenizer of its own, about 80 MB for Llama-2; more than this many are not worth their memory. */
const MAX_THREADS = 8;

/**
 * Tokens and targets of all records, in order and in shared memory, the same for any number of threads.
 * @throws InputError if no record has a target left within `maxLength`; the signal's reason if it was aborted.
 */
export async function tokenizeRecords(
  records: readonly DataRecord[],
  options: TokenizeOptions,
): Promise<TokenizedRecords> {
  const { maxLength, signal } = options;
  if (!Number.isSafeInteger(maxLength) || maxLength < 2) {
    throw new RangeError(`Cannot tokenise to maxLength ${maxLength}: an integer from 2 on is needed`);
  }
  signal?.throwIfAborted();
  const isSmall = records.length < MIN_POOL_RECORDS;
  const parts: RefusedPart[] = [];
  const chunks = await (isSmall ? encodeHere(records, options, parts) : encodeInPool(records, options, parts));
  const refused = checkRefused(parts, records.length, options);
  const { tokens, recordOf } = joinChunks(chunks);
  const stats = tokenStats(tokens, {
    truncated: chunks.reduce((sum, chunk) => sum + chunk.truncated, 0),
    droppedNoTarget: chunks.reduce((sum, chunk) => sum + chunk.droppedNoTarget, 0),
    uncut: recordLengths(chunks),
  });
  if (stats.samples === 0) {
    const problem = `none of ${records.length} records has a token of its response within maxLength ${maxLength}`;
    const { some = 0 } = stats.uncut.keeping.at(-1) ?? {};
    throw new InputError("Cannot use the data", `${problem}, raise maxLength: all of them have one within ${some}`);
  }
  return { tokens, stats, recordOf, refused };
}

/** The records of a chunk that the template refuses. */
interface RefusedPart extends Pick<RenderedPart, "refused"> {
  readonly begin: number;
  readonly size: number;
}

/** @throws InputError for the first chunk with a refused record unless `skipBad`, and if all are refused. */
function checkRefused(parts: readonly RefusedPart[], total: number, options: TokenizeOptions): ProblemList {
  const { template, places, skipBad = false } = options;
  const ordered = parts.toSorted((a, b) => a.begin - b.begin);
  const [first] = ordered;
  if (first && !skipBad) throw refusedError(refusedRecords([first], places, template), first.begin + first.size, total);
  const refused = refusedRecords(ordered, places, template);
  if (refused.bad === total) throw refusedError(refused, total, total);
  return refused;
}

async function encodeHere(
  records: readonly DataRecord[],
  options: TokenizeOptions,
  refusedParts: RefusedPart[],
): Promise<EncodedChunk[]> {
  const chunks: EncodedChunk[] = [];
  for (let begin = 0; begin < records.length; begin += CHUNK_RECORDS) {
    await setImmediate(); // lets an abort through
    options.signal?.throwIfAborted();
    const part = records.slice(begin, begin + CHUNK_RECORDS);
    const { records: rendered, refused } = await renderPart(part, options);
    if (refused.size > 0) refusedParts.push({ begin, size: part.length, refused });
    if (refused.size > 0 && options.skipBad !== true) break;
    chunks.push(withRefused(encodeChunk(options.tokenizer, options, rendered), part.length, refused));
    options.onProgress?.(begin + part.length, records.length);
  }
  return chunks;
}

async function encodeInPool(
  records: readonly DataRecord[],
  options: TokenizeOptions,
  refusedParts: RefusedPart[],
): Promise<EncodedChunk[]> {
  const { tokenizer, template, bos = "tokenizer", rule, maxLength, skipBad, onProgress, signal } = options;
  const chunkCount = Math.ceil(records.length / CHUNK_RECORDS);
  const threads = Math.min(options.threads ?? Math.min(availableParallelism(), MAX_THREADS), chunkCount);
  const data: TokenizeWorkerData = { files: tokenizer.files, format: { template, bos, rule, maxLength } };
  const pool = new Piscina<readonly (InstructionRecord | RenderedChat)[], ChunkReply>({
    minThreads: threads,
    maxThreads: threads,
    workerData: data,
    execArgv: [], // the worker is built code: it must not look for sources
  });
  // Named with every task, so that a thread that never gets one never loads it: see below.
  const task = { filename: workerFile(), name: "encode" };
  const chunks: EncodedChunk[] = [];
  let next = 0;
  let done = 0;
  /** Two of these for each thread: while one chunk is computed the next is on its way, and no more lie in memory. */
  const lane = async (): Promise<void> => {
    while (next < chunkCount) {
      signal?.throwIfAborted();
      const c = next++;
      const begin = c * CHUNK_RECORDS;
      const part = records.slice(begin, begin + CHUNK_RECORDS);
      const { records: rendered, refused } = await renderPart(part, options);
      if (refused.size > 0) refusedParts.push({ begin, size: part.length, refused });
      if (refused.size > 0 && skipBad !== true) {
        next = chunkCount; // chunks before this one are on their way: the first that is refused is named
        return;
      }
      const reply = await pool.run(rendered, task);
      if ("error" in reply) throw decodeError(reply.error);
      chunks[c] = withRefused(reply.chunk, part.length, refused);
      done += part.length;
      onProgress?.(done, records.length);
    }
  };
  // A worker that dies between tasks, or at its start, rejects none of them: the pool only reports it.
  const poolFailed = new Promise<never>((_, reject) => pool.on("error", reject));
  const lanes = Array.from({ length: 2 * threads }, lane);
  try {
    await Promise.race([Promise.all(lanes), poolFailed]);
    signal?.throwIfAborted();
    return chunks;
  } finally {
    // Node 20 aborts the whole process when a thread is ended while it requires an ES module: let running chunks finish.
    next = chunkCount;
    await Promise.race([Promise.allSettled(lanes), poolFailed.catch(() => {})]);
    await pool.destroy();
  }
}

/** Node 20 starts no TypeScript in a worker thread: from source, too, the built file is the worker. */
function workerFile(): string {
  const isSource = import.meta.url.endsWith(".ts");
  const path = fileURLToPath(
    new URL(isSource ? "../dist/tokenize_worker.js" : "./tokenize_worker.js", import.meta.url),
  );
  if (!existsSync(path)) throw new Error(`Cannot start tokenising: ${path} is missing, run "pnpm build" first`);
  return path;
}
