/** Images of samples: which sample has which, and what becomes of samples whose images cannot be used. */
import type { TokenSet } from "@zerogate/core";
import type { PreparedTokens } from "./prepare.ts";
import { addImageProblems, type ImageFault, type RecordImages } from "./record_images.ts";
import { badRecords, noProblems } from "./record_problems.ts";
import { allocateTokens, hashTokens, tokenStats } from "./token_set.ts";

/** Returns for each sample the index of its entry in `images`, -1 if its record has none. */
export function imagesOfSamples(recordOf: Int32Array, images: readonly Pick<RecordImages, "record">[]): Int32Array {
  const entryOf = new Map(images.map(({ record }, entry) => [record, entry]));
  return Int32Array.from(recordOf, (record) => entryOf.get(record) ?? -1);
}

/**
 * Leaves out the samples whose images cannot be used, and counts them among the bad records.
 *
 * @param faults why, by index in `prepared.images`.
 * @throws InputError that lists the first 20 problems unless `skipBad`.
 */
export function withoutFaultyImages(
  prepared: PreparedTokens,
  faults: ReadonlyMap<number, ImageFault>,
  { skipBad, eosId }: { readonly skipBad: boolean; readonly eosId: number },
): PreparedTokens {
  if (faults.size === 0) return prepared;
  const { tokens, recordOf, images, stats, skipped, problems } = prepared;
  const found = noProblems();
  addImageProblems(found, images, faults);
  if (!skipBad) throw badRecords(found, recordOf.length + stats.droppedNoTarget + skipped);
  const entries = imagesOfSamples(recordOf, images);
  const kept: number[] = [];
  let cut = 0;
  for (const [sample, entry] of entries.entries()) {
    if (!faults.has(entry)) kept.push(sample);
    // Every sample ends with the token that ends texts, unless that was cut off.
    else if (tokens.ids[tokens.offsets[sample + 1]! - 1] !== eosId) cut++;
  }
  if (kept.length === 0) throw badRecords(found, recordOf.length + stats.droppedNoTarget + skipped);
  const left = chooseSamples(tokens, kept);
  return {
    ...prepared,
    tokens: left,
    recordOf: Int32Array.from(kept, (sample) => recordOf[sample]!),
    stats: tokenStats(left, { ...stats, truncated: stats.truncated - cut }),
    skipped: skipped + recordOf.length - kept.length,
    problems: [...problems, ...found.byKind.values()],
  };
}

function chooseSamples({ ids, target, offsets, images }: TokenSet, samples: readonly number[]): TokenSet {
  const lengths = samples.map((sample) => offsets[sample + 1]! - offsets[sample]!);
  const chosen = allocateTokens(
    lengths.reduce((sum, length) => sum + length, 0),
    samples.length,
  );
  let token = 0;
  for (const [i, sample] of samples.entries()) {
    const [begin, end] = [offsets[sample]!, offsets[sample + 1]!];
    chosen.ids.set(ids.subarray(begin, end), token);
    chosen.target.set(target.subarray(begin, end), token);
    token += end - begin;
    chosen.offsets[i + 1] = token;
  }
  const left = images && { ...images, rowOf: Int32Array.from(samples, (sample) => images.rowOf[sample]!) };
  return { ...chosen, hash: hashTokens(chosen), ...(left && { images: left }) };
}
