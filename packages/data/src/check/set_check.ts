/** One set of records, looked at one after another: nothing of a text is kept but where it stands, its lengths and its hashes. */
import { type DataRecord, isChat, messagesOf } from "../chat/record.ts";
import type { Place } from "../record_problems.ts";
import { characters } from "../tasks/python_text.ts";
import { type ColumnSummary, columnCounter } from "./columns.ts";
import { beginningOf, type Finding, type FindingCounter, findingCounter } from "./finding.ts";
import { type LikeFindings, likeCounter } from "./like_counter.ts";
import { askedAndAnswered, type ComparedTexts, comparedTexts, type RecordIndex, recordIndex } from "./likeness.ts";
import { type MeasuredLengths, measureLengths } from "./measured_lengths.ts";
import { type RecordPlaces, recordPlaces } from "./record_places.ts";
import { brokenEncoding, controlCharacter, scriptOf, specialTokenFinder } from "./text_findings.ts";

/** What the records of a set are like. */
export interface RecordFindings {
  readonly records: number;
  /** How many of them are chats. */
  readonly chats: number;
  readonly files: readonly { readonly path: string; readonly records: number }[];
  /** In characters and words. */
  readonly lengths: readonly MeasuredLengths[];
  /** Records like an earlier one of their file, or of a file before it. */
  readonly duplicates: { readonly withinFiles: LikeFindings; readonly acrossFiles: LikeFindings };
  /** The script of most letters, the most frequent first. */
  readonly scripts: readonly { readonly name: string; readonly records: number }[];
  readonly emptyAnswers: Finding;
  readonly specialTokens: Finding;
  readonly controlCharacters: Finding;
  readonly brokenEncoding: Finding;
  readonly columns: readonly ColumnSummary[];
}

/** Looks at records. */
export interface SetChecker {
  readonly places: RecordPlaces;
  readonly index: RecordIndex;
  add(record: DataRecord, place: Place): void;
  findings(): RecordFindings;
}

/**
 * @param specialTokens of the tokenizer, if there is one
 * @param onRecord receives what each record is compared by, and its number
 */
export function setChecker(
  specialTokens: readonly string[] = [],
  onRecord: (texts: ComparedTexts, record: number, beginning: () => string) => void = () => {},
): SetChecker {
  const [places, index, columns] = [recordPlaces(), recordIndex(), columnCounter()];
  const lengths = { characters: measureLengths("characters"), words: measureLengths("words") };
  const duplicates = { withinFiles: likeCounter(), acrossFiles: likeCounter() };
  const found = {
    emptyAnswers: findingCounter(),
    specialTokens: findingCounter(),
    controlCharacters: findingCounter(),
    brokenEncoding: findingCounter(),
  };
  const specialToken = specialTokenFinder(specialTokens);
  const scripts = new Map<string, number>();
  const files = new Map<string, number>();
  let chats = 0;

  const lookAt = (record: DataRecord, number: number): void => {
    const { asked, answered } = askedAndAnswered(messagesOf(record));
    const text = `${asked}\n${answered}`;
    const note = (counter: FindingCounter, what: string | undefined): void => {
      if (what !== undefined) counter.add(() => ({ place: places.describe(number), text: what }));
    };
    note(found.emptyAnswers, answered.trim() === "" ? beginningOf(asked) : undefined);
    note(found.specialTokens, specialToken(text));
    note(found.controlCharacters, controlCharacter(text));
    note(found.brokenEncoding, brokenEncoding(text));
    const script = scriptOf(text);
    scripts.set(script, (scripts.get(script) ?? 0) + 1);
    lengths.characters.add(characters(asked) + characters(answered), characters(answered));
    lengths.words.add(countWords(asked) + countWords(answered), countWords(answered));
  };
  return {
    places,
    index,
    add(record, place) {
      const number = places.count;
      places.add(place);
      files.set(place.file, (files.get(place.file) ?? 0) + 1);
      if (isChat(record)) chats++;
      columns.add(record);
      lookAt(record, number);
      const texts = comparedTexts(record);
      const beginning = () => beginningOf(askedAndAnswered(messagesOf(record)).asked);
      const like = index.add(texts);
      if (like) {
        const counter = duplicates[places.fileOf(like.first) === place.file ? "withinFiles" : "acrossFiles"];
        counter.add(like.how, () => {
          return { place: places.describe(number), like: places.describe(like.first), text: beginning() };
        });
      }
      onRecord(texts, number, beginning);
    },
    findings: () => ({
      records: places.count,
      chats,
      files: [...files].map(([path, records]) => ({ path, records })),
      lengths: [lengths.characters.summary(places), lengths.words.summary(places)],
      duplicates: { withinFiles: duplicates.withinFiles.findings(), acrossFiles: duplicates.acrossFiles.findings() },
      scripts: [...scripts].map(([name, records]) => ({ name, records })).toSorted((a, b) => b.records - a.records),
      emptyAnswers: found.emptyAnswers.finding(),
      specialTokens: found.specialTokens.finding(),
      controlCharacters: found.controlCharacters.finding(),
      brokenEncoding: found.brokenEncoding.finding(),
      columns: columns.summaries(),
    }),
  };
}

/** Counts parts between white space. */
function countWords(text: string): number {
  return text.match(/\S+/g)?.length ?? 0;
}
