/** `zerogate generate`: continues a prompt or answers instructions, with one adapter or with several side by side. */
import { answer, type OpenedModel, type Question } from "@zerogate/trainer";
import { promptOf } from "@zerogate/trainer/command";
import type { AnswerLimits } from "./answer_options.ts";
import { answerSideBySide } from "./compare.ts";
import { type CommandContext, type ExitCode, printJson } from "./context.ts";
import { type ModelFlags, openAnsweringModel } from "./opened_model.ts";
import { type QuestionFlags, questionsOf } from "./questions.ts";

export interface GenerateFlags extends ModelFlags, QuestionFlags {
  readonly adapter?: readonly string[];
  /** Adapters that answer beside the base, as `--adapter` takes them. */
  readonly compare?: readonly string[];
  readonly stop?: readonly string[];
  readonly json?: boolean;
}

export async function generateCommand(flags: GenerateFlags, context: CommandContext): Promise<ExitCode> {
  const questions = await questionsOf(flags);
  const { adapter = [], compare = [], stop = [], json = false } = flags;
  const { opened, options } = await openAnsweringModel(flags, [...adapter, ...compare], context);
  const { model } = opened;
  const [only] = questions;
  if (only && flags.prompts === undefined && flags.compare === undefined) {
    await answerOne(opened, only, { ...options, stop, json }, context);
    return 0;
  }
  const adapters = flags.compare ? [null, ...model.adapterNames] : [model.activeAdapter ?? null];
  await answerSideBySide(opened, questions, adapters, { ...options, stop, json }, context);
  return 0;
}

/** The text as it comes, or one JSON object. */
async function answerOne(
  opened: OpenedModel,
  question: Question,
  { json, ...options }: AnswerLimits & { readonly stop: readonly string[]; readonly json: boolean },
  context: CommandContext,
): Promise<void> {
  const begin = performance.now();
  const stream = answer(opened, question, options, context.signal);
  let next = await stream.next();
  for (; !next.done; next = await stream.next()) if (!json) context.stdout.exact(next.value);
  const { text, ids, finishReason } = next.value;
  const tokensPerSecond = (1000 * ids.length) / (performance.now() - begin);
  const { text: prompt } = await promptOf(opened, question, opened.model.activeAdapter);
  if (json) printJson(context, { prompt, text, tokens: ids, finishReason, tokensPerSecond });
  else context.stdout.write("\n");
}
