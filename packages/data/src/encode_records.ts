/** Encodes records as they come: on the calling thread while they are few, else by a pool of worker threads, in order. */
import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { setImmediate } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { decodeError, type EncodedError } from "@zerogate/core/training";
import { Piscina } from "piscina";
import type { DataRecord } from "./chat/record.ts";
import { addRefused, type RenderedPart, refusedError, renderPart, withRefused } from "./chat/rendered_part.ts";
import { encodeChunk, type SampleFormat } from "./encode_sample.ts";
import { noProblems, type Place, type ProblemList } from "./record_problems.ts";
import type { EncodedChunk } from "./token_set.ts";
import type { Tokenizer } from "./tokenizer.ts";
import type { TokenizerFiles } from "./tokenizer_files.ts";

/** How records are encoded, by how many threads. */
export interface EncodeRecordsOptions extends SampleFormat {
  readonly tokenizer: Tokenizer;
  /** Worker threads at most. @default the cores of the machine, up to 8 */
  readonly threads?: number;
  /** Ends the work; what is awaited then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Leave chats out that the template refuses, and count them, instead of refusing the data. @default false */
  readonly skipBad?: boolean;
}

/** Takes records in order. */
export interface RecordEncoder {
  /**
   * Encodes the next records; resolves when there is room for more. Once a record cannot be encoded it takes the others and
   * leaves them: how many there are belongs to the error of `end`.
   *
   * @param places where each stands, to name one that the template refuses; by default its number.
   * @throws the signal's reason if it was aborted.
   */
  add(records: readonly DataRecord[], places?: readonly Place[]): Promise<void>;
  /**
   * Returns the records that the template refused, when all are encoded.
   *
   * @throws InputError for a record that cannot be encoded, for the first chunk with a refused one unless `skipBad`, and if all are
   *   refused.
   */
  end(): Promise<ProblemList>;
  /** Ends the threads. Call it after an error, too. */
  close(): Promise<void>;
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

/** Some records, encoded. */
interface EncodedPart extends Pick<RenderedPart, "refused"> {
  readonly chunk: EncodedChunk;
  readonly places: readonly Place[];
}

/**
 * @param take receives the chunks in the order of their records, one at a time.
 * @param total how many records there will be, as far as it is known.
 */
export function createEncoder(
  options: EncodeRecordsOptions,
  take: (chunk: EncodedChunk) => Promise<void>,
  total: () => number | undefined,
): RecordEncoder {
  const { signal, skipBad = false } = options;
  let held: { readonly record: DataRecord; readonly place: Place }[] = [];
  let [added, taken] = [0, 0];
  let pool: EncodingPool | undefined;
  const refused = noProblems();
  const failure = firstFailure(signal);
  /** Of all that is under way, the oldest first: two for each thread, so that one is on its way while another is computed. */
  const running: Promise<EncodedPart>[] = [];

  const takePart = async ({ chunk, places, refused: own }: EncodedPart): Promise<void> => {
    addRefused(refused, own, places, options.template);
    taken += places.length;
    const seen = taken;
    if (own.size > 0 && !skipBad) failure.keep(() => refusedError(refused, seen, total()));
    else await take(chunk);
  };
  const takeOldest = async (): Promise<void> => {
    const oldest = running.shift();
    if (oldest !== undefined) await takePart(await oldest);
  };
  const encode = async (part: typeof held): Promise<void> => {
    await setImmediate(); // lets an abort through
    signal?.throwIfAborted();
    const [records, places] = [part.map(({ record }) => record), part.map(({ place }) => place)];
    const using = pool;
    if (using === undefined) {
      const here = async (rendered: Encodable) => encodeChunk(options.tokenizer, options, rendered);
      await takePart(await encodePart(records, places, options, here));
      return;
    }
    const encoded = using.encode(records, places);
    encoded.catch(() => {}); // the oldest is awaited first, and the first error is the one to report
    running.push(encoded);
    if (running.length >= 2 * using.threads) await takeOldest();
  };
  const encodeHeld = async (least: number): Promise<void> => {
    const all = held;
    let next = 0;
    for (; !failure.isThere() && all.length - next >= least; next += CHUNK_RECORDS)
      await encode(all.slice(next, next + CHUNK_RECORDS));
    held = all.slice(next);
  };
  return {
    async add(records, places) {
      const first = added;
      added += records.length;
      if (failure.isThere()) return;
      for (const [i, record] of records.entries())
        held.push({ record, place: places?.[i] ?? { file: "data", index: first + i } });
      if (pool === undefined && held.length < MIN_POOL_RECORDS) return;
      pool ??= startPool(options, total());
      await failure.unless(() => encodeHeld(CHUNK_RECORDS));
    },
    async end() {
      await failure.unless(async () => {
        await encodeHeld(1);
        while (!failure.isThere() && running.length > 0) await takeOldest();
      });
      signal?.throwIfAborted();
      failure.throwIt();
      if (refused.bad > 0 && refused.bad === added) throw refusedError(refused, added, added);
      return refused;
    },
    close: async () => await pool?.close(running),
  };
}

/** Keeps the first error for later, and does no work after it. */
function firstFailure(signal: AbortSignal | undefined) {
  let make: (() => unknown) | undefined;
  return {
    isThere: () => make !== undefined,
    keep(error: () => unknown): void {
      make ??= error;
    },
    /** @throws the signal's reason if it was aborted. */
    async unless(work: () => Promise<void>): Promise<void> {
      try {
        if (make === undefined) await work();
      } catch (error) {
        signal?.throwIfAborted();
        make ??= () => error;
      }
    },
    throwIt(): void {
      if (make) throw make();
    },
  };
}

type Encodable = RenderedPart["records"];

/** Renders records and encodes them, but none of a part that is going to be refused. */
async function encodePart(
  records: readonly DataRecord[],
  places: readonly Place[],
  options: EncodeRecordsOptions,
  encode: (rendered: Encodable) => Promise<EncodedChunk>,
): Promise<EncodedPart> {
  const { records: rendered, refused } = await renderPart(records, options);
  const chunk = await encode(refused.size > 0 && options.skipBad !== true ? [] : rendered);
  return { chunk: withRefused(chunk, records.length, refused), refused, places };
}

interface EncodingPool {
  readonly threads: number;
  encode(records: readonly DataRecord[], places: readonly Place[]): Promise<EncodedPart>;
  /** @param running what is under way. */
  close(running: readonly Promise<EncodedPart>[]): Promise<void>;
}

function startPool(options: EncodeRecordsOptions, total = Number.POSITIVE_INFINITY): EncodingPool {
  const { tokenizer, template, bos = "tokenizer", rule, maxLength } = options;
  const most = options.threads ?? Math.min(availableParallelism(), MAX_THREADS);
  const threads = Math.min(most, Math.ceil(total / CHUNK_RECORDS));
  const data: TokenizeWorkerData = { files: tokenizer.files, format: { template, bos, rule, maxLength } };
  const pool = new Piscina<Encodable, ChunkReply>({
    minThreads: threads,
    maxThreads: threads,
    workerData: data,
    execArgv: [], // the worker is built code: it must not look for sources
  });
  // Named with every task, so that a thread that never gets one never loads it: see `close`.
  const task = { filename: workerFile(), name: "encode" };
  // A worker that dies between tasks, or at its start, rejects none of them: the pool only reports it. (A race of each task with one
  // promise for it would keep what every task returned for as long as the promise lasts.)
  let death: { readonly error: unknown } | undefined;
  const waiting = new Set<(error: unknown) => void>();
  pool.on("error", (error: unknown) => {
    death ??= { error };
    for (const reject of waiting) reject(error);
  });
  const orDeath = <T>(work: Promise<T>): Promise<T> =>
    new Promise((resolve, reject) => {
      waiting.add(reject);
      const done = () => waiting.delete(reject);
      work.finally(done).then(resolve, reject);
      if (death) reject(death.error);
    });
  return {
    threads,
    async encode(records, places) {
      const there = async (rendered: Encodable) => {
        const reply = await pool.run(rendered, task);
        if ("error" in reply) throw decodeError(reply.error);
        return reply.chunk;
      };
      return await orDeath(encodePart(records, places, options, there));
    },
    async close(running) {
      // Node 20 aborts the whole process when a thread is ended while it requires an ES module: let running chunks finish.
      await orDeath(Promise.allSettled(running)).catch(() => {});
      await pool.destroy();
    },
  };
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
