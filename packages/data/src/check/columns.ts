/** What the fields of records hold: of instructions their three, of chats the messages of each role. */
import { type DataRecord, isChat } from "../chat/record.ts";
import { type InstructionRecord, instructionFields } from "../record.ts";
import { characters } from "../tasks/python_text.ts";

/** What a field holds in all records. */
export interface ColumnSummary {
  /** `output`, or of chats the role: `assistant`. */
  readonly name: string;
  /** Texts, empty ones among them; a chat has several of a role. */
  readonly texts: number;
  readonly empty: number;
  readonly meanCharacters: number;
  readonly longestCharacters: number;
}

/** Counts what fields hold. */
export interface ColumnCounter {
  add(record: DataRecord): void;
  summaries(): ColumnSummary[];
}

/** Roles are a few words, but a record may name others. */
const MAX_NAMES = 20;

export function columnCounter(): ColumnCounter {
  const columns = new Map<string, { texts: number; empty: number; characters: number; longest: number }>();
  const count = (name: string, text: string): void => {
    const column = columns.get(name) ?? { texts: 0, empty: 0, characters: 0, longest: 0 };
    if (columns.size < MAX_NAMES) columns.set(name, column);
    const length = characters(text);
    column.texts++;
    column.characters += length;
    column.longest = Math.max(column.longest, length);
    if (text.trim() === "") column.empty++;
  };
  return {
    add(record) {
      if (isChat(record)) for (const { role, content } of record.messages) count(role, content);
      else for (const name of instructionFields) count(name, record[name as keyof InstructionRecord]);
    },
    summaries: () =>
      [...columns].map(([name, { texts, empty, characters: all, longest }]) => {
        return { name, texts, empty, meanCharacters: all / texts, longestCharacters: longest };
      }),
  };
}
