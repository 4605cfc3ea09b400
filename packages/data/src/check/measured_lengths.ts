/** Lengths of records and their answers, in one unit, eight bytes a record. */
import { growingList } from "../growing_list.ts";
import { type LengthSummary, summarizeLengths } from "./lengths.ts";
import type { RecordPlaces } from "./record_places.ts";

/** Lengths in one unit. */
export interface MeasuredLengths {
  readonly unit: "tokens" | "characters" | "words";
  readonly record: LengthSummary;
  /** All that the assistant says; in tokens what is trained. */
  readonly answer: LengthSummary;
  /** Answers as a share of all. */
  readonly answerShare: number;
  /** The longest records first. */
  readonly longest: readonly RecordLength[];
  /** The shortest records first. */
  readonly shortest: readonly RecordLength[];
}

/** A record by its length. */
export interface RecordLength {
  readonly place: string;
  readonly length: number;
}

/** Collects lengths, in the order of their records. */
export interface LengthMeasure {
  add(record: number, answer: number): void;
  /** Counts a record of which no length is known. */
  skip(): void;
  summary(places: Pick<RecordPlaces, "describe">): MeasuredLengths;
}

/** Longest and shortest records that are named. */
const NAMED = 5;
/** In place of a length that is not known. */
const UNKNOWN = -1;

export function measureLengths(unit: MeasuredLengths["unit"]): LengthMeasure {
  const [records, answers] = [growingList(), growingList()];
  return {
    add(record, answer) {
      records.push(record);
      answers.push(answer);
    },
    skip() {
      records.push(UNKNOWN);
      answers.push(UNKNOWN);
    },
    summary({ describe }) {
      const all = records.all();
      const isKnown = (length: number) => length !== UNKNOWN;
      const [whole, answered] = [all.filter(isKnown), answers.all().filter(isKnown)];
      const sum = (lengths: Int32Array) => lengths.reduce((a, b) => a + b, 0);
      const named = (sign: number) =>
        furthest(all, sign).map((record) => ({ place: describe(record), length: all[record]! }));
      return {
        unit,
        record: summarizeLengths(whole),
        answer: summarizeLengths(answered),
        answerShare: sum(whole) === 0 ? 0 : sum(answered) / sum(whole),
        longest: named(1),
        shortest: named(-1),
      };
    },
  };
}

/** Returns the records of the largest lengths, or with -1 of the smallest; of equal ones the first. */
function furthest(lengths: Int32Array, sign: number): number[] {
  const found: number[] = [];
  for (let record = 0; record < lengths.length; record++) {
    if (lengths[record] === UNKNOWN) continue;
    const length = sign * lengths[record]!;
    if (found.length === NAMED && length <= sign * lengths[found.at(-1)!]!) continue;
    const at = found.findIndex((other) => sign * lengths[other]! < length);
    found.splice(at < 0 ? found.length : at, 0, record);
    if (found.length > NAMED) found.pop();
  }
  return found;
}
