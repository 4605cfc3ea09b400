/** What became of the records of a data set: counted, said, and refused if too many of them are left out. */
import { InputError } from "@zerogate/core";
import { type SampleTokens, sampleBlocks } from "@zerogate/core/node";
import { lengthKeeping, measureSamples, type PreparedTokens, type UnreadField } from "@zerogate/data";
import type { TrainConfig } from "@zerogate/run-config";
import { formatCount } from "./format.ts";

/** What became of the records of a data set. */
export interface DataCounts {
  readonly name: "data" | "validation data";
  /** All that the files hold. */
  readonly records: number;
  readonly kept: number;
  /** Kept ones whose end was cut off at `maxLength`. */
  readonly cut: number;
  /** Left out because nothing of their answer fits into `maxLength`. */
  readonly noAnswerLeft: number;
  /** Left out because they cannot be read, as `skipBadRecords` wishes. */
  readonly bad: number;
  /** Kept ones that have no answer but its end. */
  readonly emptyAnswers: number;
  readonly maxLength: number;
  /** Tokens of the longest record, before it was cut. */
  readonly longest: number;
  readonly unread: readonly UnreadField[];
}

/** Fields that change what the answer should be. */
const TELLING = ["system", "history"];
const MAX_FIELDS = 10;

export function countData(
  name: DataCounts["name"],
  { stats, skipped, unread, tokens }: PreparedTokens<SampleTokens>,
  { maxLength, eosId }: { readonly maxLength: number; readonly eosId: number },
): DataCounts {
  const { samples, truncated, droppedNoTarget, uncut } = stats;
  return {
    name,
    records: samples + droppedNoTarget + skipped,
    kept: samples,
    cut: truncated - droppedNoTarget,
    noAnswerLeft: droppedNoTarget,
    bad: skipped,
    emptyAnswers: countEmptyAnswers(tokens, eosId),
    maxLength,
    longest: uncut.longest,
    unread,
  };
}

/** Counts samples whose only target is their end. One target may also be what a cut left of an answer. */
function countEmptyAnswers(tokens: SampleTokens, eosId: number): number {
  if (!measureSamples(tokens).labelled.includes(1)) return 0;
  let count = 0;
  for (const { tokens: block } of sampleBlocks(tokens)) {
    for (const [i, targets] of measureSamples(block).labelled.entries()) {
      if (targets === 1 && block.ids[block.offsets[i + 1]! - 1] === eosId) count++;
    }
  }
  return count;
}

/** Describes what is not trained as it stands in the data files, a line each. */
export function dataWarnings(counts: DataCounts): string[] {
  const { name, cut, noAnswerLeft, bad, emptyAnswers, maxLength, longest, unread } = counts;
  const warnings: string[] = [];
  const of = (records: number) => `${records} ${records === 1 ? "record" : "records"} of ${name}`;
  const were = (records: number) => `${of(records)} ${records === 1 ? "was" : "were"}`;
  if (bad > 0) warnings.push(`${were(bad)} left out: bad`);
  if (cut > 0) warnings.push(`${were(cut)} cut at maxLength ${maxLength} (the longest has ${longest} tokens)`);
  if (noAnswerLeft > 0) {
    warnings.push(`${were(noAnswerLeft)} left out: nothing of the answer fits into maxLength ${maxLength}`);
  }
  if (emptyAnswers > 0)
    warnings.push(`${of(emptyAnswers)} ${emptyAnswers === 1 ? "has" : "have"} no answer but its end`);
  if (unread.length > 0) {
    const shown = unread.slice(0, MAX_FIELDS).map((field) => `${JSON.stringify(field.name)} (${field.records})`);
    const rest = unread.length - shown.length;
    const fields = `${shown.join(", ")}${rest > 0 ? ` and ${rest} more` : ""}`;
    const telling = TELLING.filter((field) => unread.some((found) => found.name === field));
    const advice = telling.length > 0 ? `; put what matters of ${telling.join(" and ")} into instruction` : "";
    warnings.push(`fields of ${name} are not used, here with their records: ${fields}${advice}`);
  }
  return warnings;
}

/** `data: 290 of 300 records are used, 5 of them cut at maxLength 128; 10 left out as …`. */
export function describeCounts({ name, records, kept, cut, noAnswerLeft, bad, maxLength }: DataCounts): string {
  const lost = [
    ...(noAnswerLeft > 0 ? [`${formatCount(noAnswerLeft)} left out, nothing of their answer fits`] : []),
    ...(bad > 0 ? [`${formatCount(bad)} left out as bad`] : []),
  ];
  const used = `${name}: ${formatCount(kept)} of ${formatCount(records)} records are used`;
  return [`${used}${cut > 0 ? `, ${formatCount(cut)} of them cut at maxLength ${maxLength}` : ""}`, ...lost].join("; ");
}

/**
 * Bad records do not count: that they are left out is the user's own choice.
 * @throws InputError if more than `maxDropped` of the records are left out, with the maxLength that would keep them.
 */
export function checkDropped(
  { name, kept, noAnswerLeft, maxLength, longest }: DataCounts,
  { stats }: Pick<PreparedTokens, "stats">,
  { maxDropped }: Pick<TrainConfig, "maxDropped">,
  contextLength: number,
): void {
  const share = noAnswerLeft / (kept + noAnswerLeft);
  if (share <= maxDropped) return;
  const better = lengthKeeping(stats.uncut, 1 - maxDropped, contextLength);
  const room = better
    ? `--max-length ${better.maxLength} would keep ${percent(better.share)}`
    : `the model's context of ${contextLength} tokens is too short for them: shorten them`;
  throw new InputError("Cannot use the data", [
    `${noAnswerLeft} of ${kept + noAnswerLeft} records of ${name} would be left out, as nothing of their answer fits into ` +
      `maxLength ${maxLength} (the longest has ${longest} tokens), and maxDropped allows ${percent(maxDropped)}: ` +
      `${room}, --max-dropped ${Math.ceil(share * 100) / 100} goes on without them`,
  ]);
}

const percent = (share: number): string => `${Number((100 * share).toFixed(2))} %`;
