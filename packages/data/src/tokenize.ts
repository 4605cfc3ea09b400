/** Tokenises records on all cores: chunks of records go to a pool of worker threads and come back in order. */
import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { setImmediate } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { InputError, isChatTemplate, type TokenSet } from "@zerogate/core";
import { decodeError, type EncodedError } from "@zerogate/core/training";
import { Piscina } from "piscina";
import { rendererOf } from "./chat/encode.ts";
import { type DataRecord, isChat } from "./chat/record.ts";
import type { RenderedChat } from "./chat/spans.ts";
import { encodeChunk, type SampleFormat } from "./encode_sample.ts";
import type { InstructionRecord } from "./record.ts";
import { recordLengths } from "./record_lengths.ts";
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
}

/** Records in tokens, and where each sample came from. */
export interface TokenizedData {
  readonly tokens: TokenSet;
  readonly stats: TokenStats;
  /** The record that each sample came from: an index into the records given. */
  readonly recordOf: Int32Array;
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
): Promise<TokenizedData> {
  const { maxLength, signal } = options;
  if (!Number.isSafeInteger(maxLength) || maxLength < 2) {
    throw new RangeError(`Cannot tokenise to maxLength ${maxLength}: an integer from 2 on is needed`);
  }
  signal?.throwIfAborted();
  const isSmall = records.length < MIN_POOL_RECORDS;
  const chunks = await (isSmall ? encodeHere(records, options) : encodeInPool(records, options));
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
  return { tokens, stats, recordOf };
}

/** Records that can be encoded: chats, and instructions under a template of chats, are rendered first. */
async function ready(
  records: readonly DataRecord[],
  { template, tokenizer }: TokenizeOptions,
): Promise<readonly (InstructionRecord | RenderedChat)[]> {
  if (isChatTemplate(template)) return await rendererOf(template, tokenizer).render(records);
  return records.map((record) => {
    if (!isChat(record)) return record;
    const problem = `"${template.name}" writes instructions: use --template chat, or a file in Jinja`;
    throw new InputError("Cannot write chats with this template", problem);
  });
}

async function encodeHere(records: readonly DataRecord[], options: TokenizeOptions): Promise<EncodedChunk[]> {
  const chunks: EncodedChunk[] = [];
  for (let begin = 0; begin < records.length; begin += CHUNK_RECORDS) {
    await setImmediate(); // lets an abort through
    options.signal?.throwIfAborted();
    const part = await ready(records.slice(begin, begin + CHUNK_RECORDS), options);
    chunks.push(encodeChunk(options.tokenizer, options, part));
    options.onProgress?.(begin + part.length, records.length);
  }
  return chunks;
}

async function encodeInPool(records: readonly DataRecord[], options: TokenizeOptions): Promise<EncodedChunk[]> {
  const { tokenizer, template, bos = "tokenizer", rule, maxLength, onProgress, signal } = options;
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
      const part = await ready(records.slice(c * CHUNK_RECORDS, (c + 1) * CHUNK_RECORDS), options);
      const reply = await pool.run(part, task);
      if ("error" in reply) throw decodeError(reply.error);
      chunks[c] = reply.chunk;
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
