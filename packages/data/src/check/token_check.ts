/** Records in tokens: how long they are, how many are cut, and what is trained of them. */
import { InputError } from "@zerogate/core";
import type { DataRecord } from "../chat/record.ts";
import { createEncoder } from "../encode_records.ts";
import type { SampleFormat } from "../encode_sample.ts";
import { describeProblems, type Place } from "../record_problems.ts";
import type { EncodedChunk } from "../token_set.ts";
import type { Tokenizer } from "../tokenizer.ts";
import { type MeasuredLengths, measureLengths } from "./measured_lengths.ts";
import type { RecordPlaces } from "./record_places.ts";

/** How records become tokens. */
export interface TokenRules extends SampleFormat {
  readonly tokenizer: Tokenizer;
  /** Share of the records that a run may leave out because nothing of their answer fits. */
  readonly maxDropped: number;
}

/** What becomes of records in a run. */
export interface TokenFindings {
  readonly maxLength: number;
  /** Kept, but cut at `maxLength`. */
  readonly cut: number;
  /** Left out because nothing of their answer fits. */
  readonly noAnswerLeft: number;
  /** Chats that the template refuses. */
  readonly refused: number;
  /** What keeps a run from training them, a line each. If one cannot be encoded, lengths are those of the records before it. */
  readonly problems: readonly string[];
  /** Before the cut; answers as they are trained, after it. */
  readonly lengths: MeasuredLengths;
}

/** Counts tokens. */
export interface TokenChecker {
  add(records: readonly DataRecord[], places: readonly Place[]): Promise<void>;
  end(places: Pick<RecordPlaces, "describe">): Promise<TokenFindings>;
  close(): Promise<void>;
}

export function tokenChecker(rules: TokenRules, signal?: AbortSignal): TokenChecker {
  const lengths = measureLengths("tokens");
  let [encoded, truncated, noAnswerLeft] = [0, 0, 0];
  let failure: InputError | undefined;
  const take = async (chunk: EncodedChunk): Promise<void> => {
    truncated += chunk.truncated;
    noAnswerLeft += chunk.droppedNoTarget;
    const refused = new Set(chunk.refused);
    let [begin, known] = [0, 0];
    for (const [i, length] of chunk.lengths.entries()) {
      if (refused.has(i)) {
        lengths.skip();
        continue;
      }
      const trained = chunk.target.subarray(begin, begin + length).reduce((sum, one) => sum + one, 0);
      lengths.add(chunk.wholeLengths[known++]!, trained);
      encoded++;
      begin += length;
    }
  };
  const encoder = createEncoder({ ...rules, ...(signal && { signal }), skipBad: true }, take, () => undefined);
  /** A record that cannot be encoded is a finding, not the end of the check. */
  const trying = async (work: () => Promise<void>): Promise<void> => {
    if (failure) return;
    await work().catch((error: unknown) => {
      if (!(error instanceof InputError)) throw error;
      failure = error;
    });
  };
  return {
    add: (records, places) => trying(() => encoder.add(records, places)),
    async end(places) {
      let refused = { bad: 0, problems: [] as string[] };
      await trying(async () => {
        const list = await encoder.end();
        refused = { bad: list.bad, problems: describeProblems(list) };
      });
      return {
        maxLength: rules.maxLength,
        cut: truncated - noAnswerLeft,
        noAnswerLeft,
        refused: refused.bad,
        problems: [...(failure?.problems ?? []), ...refused.problems, ...tooManyDropped(noAnswerLeft, encoded, rules)],
        lengths: lengths.summary(places),
      };
    },
    close: () => encoder.close(),
  };
}

/** What `train` refuses too. */
function tooManyDropped(dropped: number, records: number, { maxLength, maxDropped }: TokenRules): string[] {
  if (dropped <= maxDropped * records) return [];
  const allowed = `maxDropped allows ${Number((100 * maxDropped).toFixed(2))} %`;
  return [`nothing of the answer of ${dropped} of ${records} records fits into maxLength ${maxLength}, and ${allowed}`];
}
