/** Tokenises records that are in memory. */
import { InputError, type TokenSet } from "@zerogate/core";
import type { SampleTokens } from "@zerogate/core/node";
import type { DataRecord } from "./chat/record.ts";
import { createEncoder, type EncodeRecordsOptions, type RecordEncoder } from "./encode_records.ts";
import { recordLengths } from "./record_lengths.ts";
import type { Place, ProblemList } from "./record_problems.ts";
import { type EncodedChunk, joinChunks, type TokenStats, tokenStats } from "./token_set.ts";

/** How records are tokenised, by how many threads. */
export interface TokenizeOptions extends EncodeRecordsOptions {
  /** Receives how many records are done; how many there are is estimated while they are read. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Where each record stands, to name it. @default its number */
  readonly places?: readonly Place[];
}

/** Records in tokens, and where each sample came from. */
export interface TokenizedData<Tokens extends SampleTokens = TokenSet> {
  readonly tokens: Tokens;
  readonly stats: TokenStats;
  /** The record that each sample came from: an index into the records given. */
  readonly recordOf: Int32Array;
}

/** The same, with the records that were left out because the template refuses them. */
export interface TokenizedRecords extends TokenizedData {
  readonly refused: ProblemList;
}

/**
 * Tokens and targets of all records, in order and in shared memory, the same for any number of threads.
 * @throws InputError if no record has a target left within `maxLength`; the signal's reason if it was aborted.
 */
export async function tokenizeRecords(
  records: readonly DataRecord[],
  options: TokenizeOptions,
): Promise<TokenizedRecords> {
  checkMaxLength(options);
  options.signal?.throwIfAborted();
  const chunks: EncodedChunk[] = [];
  let done = 0;
  const take = async (chunk: EncodedChunk) => {
    chunks.push(chunk);
    done += chunk.lengths.length;
    options.onProgress?.(done, records.length);
  };
  const encoder = createEncoder(options, take, () => records.length);
  const refused = await encodeAll(encoder, records, options.places);
  const { tokens, recordOf } = joinChunks(chunks);
  const stats = tokenStats(tokens, {
    truncated: chunks.reduce((sum, chunk) => sum + chunk.truncated, 0),
    droppedNoTarget: chunks.reduce((sum, chunk) => sum + chunk.droppedNoTarget, 0),
    uncut: recordLengths(chunks),
  });
  checkAnyLeft(stats, records.length, options);
  return { tokens, stats, recordOf, refused };
}

async function encodeAll(
  encoder: RecordEncoder,
  records: readonly DataRecord[],
  places: readonly Place[] | undefined,
): Promise<ProblemList> {
  try {
    await encoder.add(records, places);
    return await encoder.end();
  } finally {
    await encoder.close();
  }
}

export function checkMaxLength({ maxLength }: Pick<TokenizeOptions, "maxLength">): void {
  if (Number.isSafeInteger(maxLength) && maxLength >= 2) return;
  throw new RangeError(`Cannot tokenise to maxLength ${maxLength}: an integer from 2 on is needed`);
}

/** @throws InputError if no record has a target left, with the length that would keep one. */
export function checkAnyLeft(
  { samples, uncut }: TokenStats,
  records: number,
  { maxLength }: Pick<TokenizeOptions, "maxLength">,
): void {
  if (samples > 0) return;
  const problem = `none of ${records} records has a token of its response within maxLength ${maxLength}`;
  const { some = 0 } = uncut.keeping.at(-1) ?? {};
  throw new InputError("Cannot use the data", `${problem}, raise maxLength: all of them have one within ${some}`);
}
