/** Samples whose tokens stay in a file: read when they are needed, so that millions of them take no memory. */
import { closeSync, readSync } from "node:fs";
import { type Cell, packCell, type TokenSet } from "../cell/tokens.ts";
import { InputError } from "../errors.ts";
import { openRegularFileSync } from "./regular_file.ts";

/** What `TokenSet` is in memory, in a file. Plain data: worker threads and processes open the file themselves. */
export interface StoredTokens {
  /** Absolute. */
  readonly path: string;
  /** Byte of the file where the ids (i32) of all samples begin. */
  readonly idsAt: number;
  /** Byte of the file where the targets (u8) of all samples begin. */
  readonly targetAt: number;
  /** As a `TokenSet` has them. */
  readonly offsets: Float64Array;
  /** Targets of each sample. */
  readonly labelled: Int32Array;
  readonly hash: string;
  /** Samples with images are kept in memory. @default never any */
  readonly images?: undefined;
}

/** Samples in memory or in a file. */
export type SampleTokens = TokenSet | StoredTokens;

/** Tokens that are read at once: 1.3 MB. */
const BLOCK_TOKENS = 2 ** 18;

/**
 * Reads samples, which become those from 0 on of a set of their own in memory.
 *
 * @throws InputError if the file is gone, cut short or holds other targets than when it was opened, RangeError for a sample that
 *   is not there.
 */
export function readSamples(tokens: StoredTokens, samples: Iterable<number>): TokenSet {
  const { path, idsAt, targetAt, offsets, labelled } = tokens;
  const chosen = Int32Array.from(samples);
  const ends = new Float64Array(chosen.length + 1);
  for (const [i, sample] of chosen.entries()) ends[i + 1] = ends[i] + lengthOf(tokens, sample);
  const ids = new Int32Array(ends[chosen.length]);
  const target = new Uint8Array(ids.length);
  const bytes = new Uint8Array(ids.buffer);
  const fd = openRegularFileSync(path);
  try {
    for (let first = 0; first < chosen.length; ) {
      let next = first + 1;
      while (next < chosen.length && chosen[next] === chosen[next - 1] + 1) next++;
      const [from, to, at] = [ends[first], ends[next], offsets[chosen[first]]];
      readAt(fd, path, bytes.subarray(4 * from, 4 * to), idsAt + 4 * at);
      readAt(fd, path, target.subarray(from, to), targetAt + at);
      first = next;
    }
  } finally {
    closeSync(fd);
  }
  for (const [i, sample] of chosen.entries()) {
    if (targetsIn(target, ends[i], ends[i + 1]) !== labelled[sample]) {
      throw new InputError(
        `Cannot use ${path}`,
        `sample ${sample} has other targets than when it was opened: ${ADVICE}`,
      );
    }
  }
  return { ids, target, offsets: ends, hash: "" };
}

/** Packs samples, in the given order, into one cell; those that are not in memory are read. */
export function packSamples(tokens: SampleTokens, samples: readonly number[]): Cell {
  if ("ids" in tokens) return packCell(tokens, samples);
  return packCell(readSamples(tokens, samples), [...samples.keys()]);
}

/** Goes through all samples in order, some at a time: of each block its first sample, and the tokens of all. */
export function* sampleBlocks(
  tokens: SampleTokens,
): Generator<{ readonly first: number; readonly tokens: TokenSet }, void, undefined> {
  if ("ids" in tokens) {
    yield { first: 0, tokens };
    return;
  }
  const { offsets } = tokens;
  const samples = offsets.length - 1;
  for (let first = 0; first < samples; ) {
    let next = first + 1;
    while (next < samples && offsets[next + 1] - offsets[first] <= BLOCK_TOKENS) next++;
    const block = Int32Array.from({ length: next - first }, (_, i) => first + i);
    yield { first, tokens: readSamples(tokens, block) };
    first = next;
  }
}

const ADVICE = "a token cache must stay as it is while it is trained on; resume the run, which makes it again";

function lengthOf({ offsets }: StoredTokens, sample: number): number {
  const length = offsets[sample + 1] - offsets[sample];
  if (length > 0) return length;
  throw new RangeError(`Cannot use sample ${sample}: the set has ${offsets.length - 1} samples`);
}

/** The first token of a sample is none: nothing precedes it. */
function targetsIn(target: Uint8Array, begin: number, end: number): number {
  let count = 0;
  for (let t = begin + 1; t < end; t++) count += target[t];
  return count;
}

function readAt(fd: number, path: string, into: Uint8Array, position: number): void {
  for (let done = 0; done < into.length; ) {
    const got = readSync(fd, into, done, into.length - done, position + done);
    if (got === 0) throw new InputError(`Cannot use ${path}`, `it ends at byte ${position + done}: ${ADVICE}`);
    done += got;
  }
}
