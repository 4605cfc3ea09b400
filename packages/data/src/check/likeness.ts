/** Which records are like earlier ones, by fingerprints of what they hold: 50 to 100 bytes a record, whatever its length. */
import { type ChatMessage, type DataRecord, isChat, messagesOf } from "../chat/record.ts";
import { createFingerprints } from "../fingerprints.ts";

/**
 * How two records are alike: `same` letter by letter; `normalised` but for case, width, white space and punctuation at the ends of texts;
 * `question` if only what is asked is so.
 */
export type Likeness = "same" | "normalised" | "question";

/** The first record that one is like. */
interface LikeRecord {
  readonly how: Likeness;
  readonly first: number;
}

/** What a record is compared by. */
export type ComparedTexts = Readonly<Record<Likeness, string>>;

/** Records by what they hold, numbered from 0 as they are added. */
export interface RecordIndex {
  /** Adds a record. Returns the first earlier one that it is like; undefined if there is none. */
  add(texts: ComparedTexts): LikeRecord | undefined;
  /** Returns the first record that one is like; undefined if there is none. */
  find(texts: ComparedTexts): LikeRecord | undefined;
}

/** From the closest on. */
export const likenesses: readonly Likeness[] = ["same", "normalised", "question"];

export function recordIndex(): RecordIndex {
  const seen = { same: createFingerprints(), normalised: createFingerprints(), question: createFingerprints() };
  let count = 0;
  return {
    add(texts) {
      const number = count++;
      const firsts = likenesses.map((how) => ({ how, first: seen[how].add(texts[how]) }));
      return firsts.find(({ first }) => first < number);
    },
    find(texts) {
      return likenesses.map((how) => ({ how, first: seen[how].find(texts[how]) })).find(({ first }) => first >= 0);
    },
  };
}

/** Returns what a record is compared by. An instruction with its answer is the chat of the same two messages. */
export function comparedTexts(record: DataRecord): ComparedTexts {
  const messages = messagesOf(record);
  const tools = isChat(record) ? record.tools : undefined;
  const answer = messages.findIndex(({ role }) => role === "assistant");
  const plain = messages.map(({ role, content, ...others }) => ({ role, content: normalised(content), ...others }));
  return {
    same: JSON.stringify([messages, tools]),
    normalised: JSON.stringify([plain, tools]),
    question: JSON.stringify([plain.slice(0, answer), tools]),
  };
}

/** Returns a text in small letters of usual width, with single spaces and without punctuation at its ends. */
function normalised(text: string): string {
  const plain = text.normalize("NFKC").toLowerCase().replaceAll(/\s+/g, " ").trim();
  return plain.replaceAll(/^[\p{Pi}\p{Ps}"'\s]+|[\p{Pf}\p{Pe}.,;:!?…。、！？"'\s]+$/gu, "") || plain;
}

/** Returns what is asked of a record and what is answered, as texts. */
export function askedAndAnswered(messages: readonly ChatMessage[]): {
  readonly asked: string;
  readonly answered: string;
} {
  const texts = (isAnswer: boolean) =>
    messages.flatMap(({ role, content }) => ((role === "assistant") === isAnswer ? [content] : [])).join("\n");
  return { asked: texts(false), answered: texts(true) };
}
