/** Looks at data before a run does: what its records are like, which are alike, and what validation shares with training. */
import type { DataRecord } from "../chat/record.ts";
import type { DataFile } from "../data_files.ts";
import type { SampleFormat } from "../encode_sample.ts";
import type { UnreadField } from "../reading.ts";
import { describeProblem, type Place } from "../record_problems.ts";
import { type ReadOptions, streamRecords } from "../records.ts";
import { type LikeFindings, likeCounter } from "./like_counter.ts";
import { type RecordFindings, type SetChecker, setChecker } from "./set_check.ts";
import { type TokenChecker, type TokenFindings, type TokenRules, tokenChecker } from "./token_check.ts";

/** What to look at. */
export interface DataCheckRequest extends Pick<ReadOptions, "fields" | "scienceFormat" | "captions"> {
  readonly paths: readonly string[];
  /** Held-out files. @default none */
  readonly validationPaths?: readonly string[] | undefined;
  /** What counts tokens. @default lengths are those of texts */
  readonly tokens?: TokenRequest | undefined;
  /** Receives what is being read, and how many records of it are done. */
  readonly onProgress?: (set: CheckedSet["name"], records: number) => void;
  readonly signal?: AbortSignal;
}

/** What makes tokens of records. */
export interface TokenRequest extends Pick<TokenRules, "tokenizer" | "maxDropped"> {
  /** Returns how they are written, given the first of them: chats need another template than instructions. */
  readonly formatOf: (first: readonly DataRecord[]) => Promise<SampleFormat>;
}

/** A set of data files. */
export interface CheckedSet extends RecordFindings {
  readonly name: "data" | "validation data";
  /** Records that cannot be read, and what is wrong with the first of them. */
  readonly bad: number;
  readonly problems: readonly string[];
  readonly sources: readonly DataFile[];
  /** Fields that hold something and that nobody reads. */
  readonly unread: readonly UnreadField[];
  readonly tokens?: TokenFindings;
}

/** All that was found. */
export interface DataCheck {
  readonly sets: readonly CheckedSet[];
  /** Validation records that are like one of training. @default there is no validation data */
  readonly leaks?: LikeFindings;
}

/**
 * Reads data files and says what they hold. Of a record some numbers stay in memory, whatever its length.
 *
 * @throws InputError if a file cannot be read or holds no usable record; bad records are counted.
 */
export async function checkData(request: DataCheckRequest): Promise<DataCheck> {
  const { paths, validationPaths, tokens } = request;
  const special = tokens?.tokenizer.specialTokens;
  const training = setChecker(special);
  const data = await checkSet("data", paths, training, request);
  if (validationPaths === undefined) return { sets: [data] };
  const leaks = likeCounter();
  const validation: SetChecker = setChecker(special, (texts, record, beginning) => {
    const like = training.index.find(texts);
    if (!like) return;
    leaks.add(like.how, () => {
      const [place, first] = [validation.places.describe(record), training.places.describe(like.first)];
      return { place, like: first, text: beginning() };
    });
  });
  const held = await checkSet("validation data", validationPaths, validation, request);
  return { sets: [data, held], leaks: leaks.findings() };
}

async function checkSet(
  name: CheckedSet["name"],
  paths: readonly string[],
  checker: SetChecker,
  { tokens, signal, onProgress, ...reading }: DataCheckRequest,
): Promise<CheckedSet> {
  const split = name === "data" ? "train" : "val";
  let counter: TokenChecker | undefined;
  try {
    const take = async (records: readonly DataRecord[], places: readonly Place[]) => {
      signal?.throwIfAborted();
      for (const [i, record] of records.entries()) checker.add(record, places[i] as Place);
      counter ??= tokens && tokenChecker({ ...tokens, ...(await tokens.formatOf(records)) }, signal);
      await counter?.add(records, places);
      onProgress?.(name, checker.places.count);
    };
    const rules = { split, ...reading, skipBad: true, chats: true };
    const { files, skipped, problems, unread } = await streamRecords(paths, rules, take);
    const found = counter && (await counter.end(checker.places));
    return {
      name,
      ...checker.findings(),
      bad: skipped,
      problems: problems.map(describeProblem),
      sources: files,
      unread,
      ...(found && { tokens: found }),
    };
  } finally {
    await counter?.close();
  }
}
