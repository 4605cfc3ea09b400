/** Builds and measures core's `TokenSet`: samples back to back in shared memory, so that worker threads read them without a copy. */
import { createHash } from "node:crypto";
import type { TokenSet } from "@zerogate/core";
import type { StoredTokens } from "@zerogate/core/node";
import type { RecordLengths } from "./record_lengths.ts";

/** Some samples in order; a length of 0 stands for a record that was dropped. */
export interface EncodedChunk {
  readonly ids: Int32Array;
  readonly target: Uint8Array;
  readonly lengths: Int32Array;
  /** Of each record, before the cut. */
  readonly wholeLengths: Int32Array;
  /** Of each record, what has to be left of it for a target to be left. */
  readonly neededLengths: Int32Array;
  readonly truncated: number;
  readonly droppedNoTarget: number;
  /** Records that the template refuses, by their place in the chunk; they have no length before the cut. @default none */
  readonly refused?: readonly number[];
}

/** Counts over a set of tokens. */
export interface TokenStats {
  readonly samples: number;
  readonly tokens: number;
  /** Targets. */
  readonly labelled: number;
  /** Samples and dropped records that were cut at `maxLength`. */
  readonly truncated: number;
  /** Records left out because no target was left after the cut. */
  readonly droppedNoTarget: number;
  /** Tokens of the longest sample. */
  readonly longest: number;
  readonly meanLength: number;
  /** Of all records, before the cut. */
  readonly uncut: RecordLengths;
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

/** Joins samples whose targets go from the first to the end. */
export function joinSamples(
  samples: readonly { readonly ids: readonly number[]; readonly firstTarget: number }[],
): TokenSet {
  const arrays = allocateTokens(
    samples.reduce((sum, { ids }) => sum + ids.length, 0),
    samples.length,
  );
  let token = 0;
  for (const [sample, { ids, firstTarget }] of samples.entries()) {
    arrays.ids.set(ids, token);
    arrays.target.fill(1, token + firstTarget, token + ids.length);
    token += ids.length;
    arrays.offsets[sample + 1] = token;
  }
  return { ...arrays, hash: hashTokens(arrays) };
}

/** SHA-256 over the two counts and the bytes of ids, targets and offsets (little-endian, as on every platform of Node). */
export function hashTokens({ ids, target, offsets }: Omit<TokenSet, "hash">): string {
  const hash = createHash("sha256").update(hashHead(ids.length, offsets.length - 1));
  return hash.update(bytesOf(ids)).update(target).update(bytesOf(offsets)).digest("hex");
}

/** Tokens in memory, or what is known of those in files. */
export type MeasuredTokens = TokenSet | Pick<StoredTokens, "offsets" | "labelled">;

/** What the hash of tokens begins with. */
export const hashHead = (tokens: number, samples: number): string => `tokens ${tokens} samples ${samples}\n`;

/** Tokens and targets of each sample: what the data plan needs to know. */
export function measureSamples(tokens: MeasuredTokens): { lengths: Int32Array; labelled: Int32Array } {
  const { offsets } = tokens;
  const samples = offsets.length - 1;
  const lengths = new Int32Array(samples);
  if (!("ids" in tokens)) {
    for (let sample = 0; sample < samples; sample++) lengths[sample] = offsets[sample + 1]! - offsets[sample]!;
    return { lengths, labelled: tokens.labelled };
  }
  const { target } = tokens;
  const labelled = new Int32Array(samples);
  for (let sample = 0; sample < samples; sample++) {
    const begin = offsets[sample]!;
    const end = offsets[sample + 1]!;
    lengths[sample] = end - begin;
    for (let t = begin + 1; t < end; t++) labelled[sample] = labelled[sample]! + target[t]!;
  }
  return { lengths, labelled };
}

/** Counts what is in the tokens, beside what was lost on the way to them. */
export function tokenStats(
  set: MeasuredTokens,
  { truncated, droppedNoTarget, uncut }: Pick<TokenStats, "truncated" | "droppedNoTarget" | "uncut">,
): TokenStats {
  const { lengths, labelled } = measureSamples(set);
  const tokens = set.offsets.at(-1) ?? 0;
  return {
    samples: lengths.length,
    tokens,
    labelled: labelled.reduce((sum, n) => sum + n, 0),
    truncated,
    droppedNoTarget,
    longest: lengths.reduce((longest, n) => Math.max(longest, n), 0),
    meanLength: lengths.length === 0 ? 0 : tokens / lengths.length,
    uncut,
  };
}

/** What no tokenising gives, in words; undefined if the arrays may be samples of records. */
export function faultOf({ ids, target, offsets }: Omit<TokenSet, "hash">, recordOf: Int32Array): string | undefined {
  const hasTarget = (begin: number, end: number) => target.subarray(begin + 1, end).includes(1);
  return idFault(ids) ?? targetFault(target) ?? sampleFault({ offsets, recordOf }, ids.length, hasTarget);
}

/** The same of some of the ids. */
export function idFault(ids: Int32Array): string | undefined {
  return ids.some((id) => id < 0) ? "it holds a token id below 0" : undefined;
}

/** The same of some of the targets. */
export function targetFault(target: Uint8Array): string | undefined {
  return target.some((value) => value > 1) ? "it holds a target other than 0 and 1" : undefined;
}

/** The same of what samples are made of. */
export function sampleFault(
  { offsets, recordOf }: { readonly offsets: Float64Array; readonly recordOf: Int32Array },
  tokens: number,
  hasTarget: (begin: number, end: number) => boolean,
): string | undefined {
  const samples = offsets.length - 1;
  if (offsets[0] !== 0 || offsets[samples] !== tokens) return "its samples do not span its tokens";
  for (let sample = 0; sample < samples; sample++) {
    const [begin, end] = [offsets[sample]!, offsets[sample + 1]!];
    if (!Number.isInteger(end) || end <= begin) return `its sample ${sample} ends before it begins`;
    if (!hasTarget(begin, end)) return `its sample ${sample} has no target`;
    if (recordOf[sample]! <= (sample === 0 ? -1 : recordOf[sample - 1]!)) return "its records are out of order";
  }
  return undefined;
}

/** The same memory, byte by byte. */
export function bytesOf(array: Int32Array | Float64Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
