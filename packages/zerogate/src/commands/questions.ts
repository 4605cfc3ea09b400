/** What `generate` and its relatives are asked: a prompt as it is, an instruction under a template, or a file of these. */
import { InputError } from "@zerogate/core";
import { readRegularFile } from "@zerogate/core/node";
import { type ChatRecord, type FieldRule, type InstructionRecord, isChat, readRecords } from "@zerogate/data";
import { fieldsFlag } from "@zerogate/run-config";
import type { Question } from "@zerogate/trainer";

export interface QuestionFlags {
  readonly prompt?: string;
  readonly instruction?: string;
  readonly input?: string;
  /** Image files that the prompt or instruction is about. */
  readonly image?: readonly string[];
  /** File of prompts. */
  readonly prompts?: string;
  /** Which of its columns are the fields of a record. */
  readonly fields?: readonly string[];
}

/** @throws InputError if not exactly one of the three is given, or the file holds nothing usable. */
export async function questionsOf(flags: QuestionFlags): Promise<Question[]> {
  const { prompt, instruction, prompts, input = "", image } = flags;
  const fields = fieldsFlag(flags.fields, "Cannot generate");
  if ([prompt, instruction, prompts].filter((given) => given !== undefined).length !== 1) {
    throw new InputError("Cannot generate", "expected one of --prompt TEXT, --instruction TEXT and --prompts FILE");
  }
  if (fields !== undefined && prompts === undefined)
    throw new InputError("Cannot generate", "--fields says how the file of --prompts is read: leave it out");
  const seen = image && { images: image };
  if (prompt !== undefined) return [{ isVerbatim: true, instruction: prompt, ...seen }];
  if (prompts === undefined) return [{ instruction: instruction ?? "", input, ...seen }];
  if (seen)
    throw new InputError(
      "Cannot generate",
      "--image is about one question, --prompts are several: ask with --instruction",
    );
  return await readPrompts(prompts, fields);
}

/** One instruction a line of a `.txt`; anything else is an instruction file, whose outputs are not looked at. */
async function readPrompts(path: string, fields: FieldRule | undefined): Promise<Question[]> {
  if (!path.toLowerCase().endsWith(".txt")) {
    const { records } = await readRecords(path, { chats: true, fields });
    return records.map((record) => (isChat(record) ? lastQuestion(record) : questionOf(record)));
  }
  const text = (await readRegularFile(path)).toString("utf8");
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== "");
  if (lines.length === 0) throw new InputError(`Cannot use ${path}`, "it has no line with an instruction");
  return lines.map((instruction) => ({ instruction }));
}

const questionOf = ({ instruction, input }: InstructionRecord): Question => ({ instruction, input });

/** The question before the last answer of a chat, after what was said before it. @throws InputError if none is before it. */
function lastQuestion({ messages }: ChatRecord): Question {
  const answer = messages.findLastIndex(({ role }) => role === "assistant");
  const asked = messages[answer - 1];
  if (asked?.role !== "user") {
    const found = `before its last answer stands ${asked ? `a turn of the role ${asked.role}` : "nothing"}`;
    throw new InputError("Cannot ask the question of a chat", `${found}, a turn of the role user is needed`);
  }
  return { instruction: asked.content, messages: messages.slice(0, answer - 1) };
}
