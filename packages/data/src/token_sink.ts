/**
 * Collects the tokens of records as they come: in memory while they are few, else in files of the cache folder. Of each record
 * some numbers stay in memory.
 */
import { createHash } from "node:crypto";
import type { TokenSet } from "@zerogate/core";
import { reason, type StoredTokens } from "@zerogate/core/node";
import { growingList } from "./growing_list.ts";
import { type RecordLengths, recordLengths } from "./record_lengths.ts";
import { openSpillFiles, type SpillFiles } from "./spill_files.ts";
import { bytesOf, type EncodedChunk, hashHead, joinChunks } from "./token_set.ts";

/** Where tokens go. */
export interface SinkOptions {
  /** Folder of those that are too many for memory; undefined: all stay there. */
  readonly folder?: string | undefined;
  /** Bytes of tokens that stay in memory at most. @default no limit */
  readonly memoryBytes?: number | undefined;
  /** Called if the folder cannot be written to: then all stay in memory. */
  readonly onWarning?: ((message: string) => void) | undefined;
}

/** What became of all records. */
interface CollectedTokens {
  readonly truncated: number;
  readonly droppedNoTarget: number;
  readonly uncut: RecordLengths;
  /** The record that each sample came from. */
  readonly recordOf: Int32Array;
  readonly tokens: TokenSet | SpilledTokens;
}

/** Tokens in files of their own, which `close` of the sink removes. */
export interface SpilledTokens extends Pick<StoredTokens, "offsets" | "labelled" | "hash"> {
  readonly files: Pick<SpillFiles, "folder" | "ids" | "target">;
}

/** Takes records in order. */
export interface TokenSink {
  readonly records: number;
  add(chunk: EncodedChunk): Promise<void>;
  end(): Promise<CollectedTokens>;
  /** Removes the files. */
  close(): Promise<void>;
}

/** Bytes that a token takes: its id and whether it is a target. */
export const TOKEN_BYTES = 5;

export function createTokenSink({ folder, memoryBytes = Number.POSITIVE_INFINITY, onWarning }: SinkOptions): TokenSink {
  let place = folder;
  let files: SpillFiles | undefined;
  let chunks: EncodedChunk[] = [];
  let [records, tokens, truncated, droppedNoTarget] = [0, 0, 0, 0];
  const [wholeLengths, neededLengths] = [growingList(), growingList()];
  const [lengths, labelled, recordOf] = [growingList(), growingList(), growingList()];

  const count = (chunk: EncodedChunk): void => {
    truncated += chunk.truncated;
    droppedNoTarget += chunk.droppedNoTarget;
    wholeLengths.add(chunk.wholeLengths);
    neededLengths.add(chunk.neededLengths);
    let begin = 0;
    for (const [i, length] of chunk.lengths.entries()) {
      if (length === 0) continue;
      lengths.push(length);
      labelled.push(chunk.target.subarray(begin + 1, begin + length).reduce((sum, one) => sum + one, 0));
      recordOf.push(records + i);
      begin += length;
    }
    records += chunk.lengths.length;
    tokens += chunk.ids.length;
  };
  return {
    get records() {
      return records;
    },
    async add(chunk) {
      count(chunk);
      chunks.push(chunk);
      if (place !== undefined && files === undefined && tokens * TOKEN_BYTES > memoryBytes) {
        try {
          files = await openSpillFiles(place);
        } catch (error) {
          onWarning?.(`Cannot keep the tokens in ${place}: ${reason(error)}: they stay in memory`);
          place = undefined;
        }
      }
      if (files === undefined) return;
      for (const one of chunks) await files.add(one);
      chunks = [];
    },
    async end() {
      const uncut = recordLengths([{ wholeLengths: wholeLengths.all(), neededLengths: neededLengths.all() }]);
      const counts = { truncated, droppedNoTarget, uncut, recordOf: recordOf.all() };
      if (files === undefined) return { ...counts, tokens: joinChunks(chunks).tokens };
      const offsets = offsetsOf(lengths.all());
      const hash = createHash("sha256").update(hashHead(tokens, offsets.length - 1));
      for await (const bytes of files.ids()) hash.update(bytes);
      for await (const bytes of files.target()) hash.update(bytes);
      hash.update(bytesOf(offsets));
      return { ...counts, tokens: { offsets, labelled: shared(labelled.all()), hash: hash.digest("hex"), files } };
    },
    close: async () => await files?.remove(),
  };
}

/** Where samples of these lengths begin, and where the last one ends; in shared memory. */
function offsetsOf(lengths: Int32Array): Float64Array {
  const offsets = new Float64Array(new SharedArrayBuffer(8 * (lengths.length + 1)));
  for (const [i, length] of lengths.entries()) offsets[i + 1] = offsets[i]! + length;
  return offsets;
}

function shared(values: Int32Array): Int32Array {
  const copy = new Int32Array(new SharedArrayBuffer(values.byteLength));
  copy.set(values);
  return copy;
}
