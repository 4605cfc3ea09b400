/** What `generate` and its relatives are asked: a prompt as it is, an instruction under a template, or a file of these. */
import { InputError } from "@zerogate/core";
import { readRegularFile } from "@zerogate/core/node";
import { readRecords } from "@zerogate/data";
import type { Question } from "@zerogate/trainer";

export interface QuestionFlags {
  readonly prompt?: string;
  readonly instruction?: string;
  readonly input?: string;
  /** Image files that the prompt or instruction is about. */
  readonly image?: readonly string[];
  /** File of prompts. */
  readonly prompts?: string;
}

/** @throws InputError if not exactly one of the three is given, or the file holds nothing usable. */
export async function questionsOf(flags: QuestionFlags): Promise<Question[]> {
  const { prompt, instruction, prompts, input = "", image } = flags;
  if ([prompt, instruction, prompts].filter((given) => given !== undefined).length !== 1) {
    throw new InputError("Cannot generate", "expected one of --prompt TEXT, --instruction TEXT and --prompts FILE");
  }
  const seen = image && { images: image };
  if (prompt !== undefined) return [{ isVerbatim: true, instruction: prompt, ...seen }];
  if (prompts === undefined) return [{ instruction: instruction ?? "", input, ...seen }];
  if (seen)
    throw new InputError(
      "Cannot generate",
      "--image is about one question, --prompts are several: ask with --instruction",
    );
  return await readPrompts(prompts);
}

/** One instruction a line of a `.txt`; anything else is an instruction file, whose outputs are not looked at. */
async function readPrompts(path: string): Promise<Question[]> {
  if (!path.toLowerCase().endsWith(".txt")) {
    return (await readRecords(path)).records.map(({ instruction, input }) => ({ instruction, input }));
  }
  const text = (await readRegularFile(path)).toString("utf8");
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== "");
  if (lines.length === 0) throw new InputError(`Cannot use ${path}`, "it has no line with an instruction");
  return lines.map((instruction) => ({ instruction }));
}
