/** Builds and measures core's `TokenSet`: samples back to back in shared memory, so that worker threads read them without a copy. */
import { createHash } from "node:crypto";
import type { TokenSet } from "@zerogate/core";

/** Some samples in order; a length of 0 stands for a record that was dropped. */
export interface EncodedChunk {
  readonly ids: Int32Array;
  readonly target: Uint8Array;
  readonly lengths: Int32Array;
  readonly truncated: number;
  readonly droppedNoTarget: number;
}

/** Room for `samples` samples with `tokens` tokens in all, in shared memory. */
export function allocateTokens(tokens: number, samples: number): Omit<TokenSet, "hash"> {
  return {
    ids: new Int32Array(new SharedArrayBuffer(4 * tokens)),
    target: new Uint8Array(new SharedArrayBuffer(tokens)),
    offsets: new Float64Array(new SharedArrayBuffer(8 * (samples + 1))),
  };
}

/** Joins chunks, leaving the dropped records out; `recordOf[sample]` is the record that a sample came from. */
export function joinChunks(chunks: readonly EncodedChunk[]): { tokens: TokenSet; recordOf: Int32Array } {
  let tokenCount = 0;
  let sampleCount = 0;
  for (const { ids, lengths } of chunks) {
    tokenCount += ids.length;
    for (const length of lengths) sampleCount += length > 0 ? 1 : 0;
  }
  const arrays = allocateTokens(tokenCount, sampleCount);
  const recordOf = new Int32Array(sampleCount);
  let token = 0;
  let sample = 0;
  let record = 0;
  for (const { ids, target, lengths } of chunks) {
    arrays.ids.set(ids, token);
    arrays.target.set(target, token);
    for (const length of lengths) {
      if (length > 0) {
        recordOf[sample++] = record;
        token += length;
        arrays.offsets[sample] = token;
      }
      record++;
    }
  }
  return { tokens: { ...arrays, hash: hashTokens(arrays) }, recordOf };
}

/** SHA-256 over the two counts and the bytes of ids, targets and offsets (little-endian, as on every platform of Node). */
export function hashTokens({ ids, target, offsets }: Omit<TokenSet, "hash">): string {
  const hash = createHash("sha256").update(`tokens ${ids.length} samples ${offsets.length - 1}\n`);
  return hash.update(bytesOf(ids)).update(target).update(bytesOf(offsets)).digest("hex");
}

/** Tokens and targets of each sample: what the data plan needs to know. */
export function measureSamples({ target, offsets }: TokenSet): { lengths: Int32Array; labelled: Int32Array } {
  const samples = offsets.length - 1;
  const lengths = new Int32Array(samples);
  const labelled = new Int32Array(samples);
  for (let sample = 0; sample < samples; sample++) {
    const begin = offsets[sample]!;
    const end = offsets[sample + 1]!;
    lengths[sample] = end - begin;
    for (let t = begin + 1; t < end; t++) labelled[sample] = labelled[sample]! + target[t]!;
  }
  return { lengths, labelled };
}

/** The same memory, byte by byte. */
export function bytesOf(array: Int32Array | Float64Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
