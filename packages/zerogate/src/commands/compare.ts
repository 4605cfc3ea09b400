/** Several prompts, or several adapters for each: computed as one batch, shown side by side. */
import { type AnswerOptions, answerAll, type OpenedModel, type Question } from "@zerogate/trainer";
import { promptOf } from "@zerogate/trainer/command";
import { sideBySide } from "../status/columns.ts";
import { type CommandContext, printJson } from "./context.ts";

interface CompareOptions extends AnswerOptions {
  readonly scale: number;
  readonly json: boolean;
}

/** Prompts computed at a time; a screenful, so that the first answers do not wait for the last prompt. */
const PROMPTS_AT_ONCE = 4;

/** Prints a block of columns, or a JSON object, for each question. */
export async function answerSideBySide(
  opened: OpenedModel,
  questions: readonly Question[],
  adapters: readonly (string | null)[],
  { json, ...options }: CompareOptions,
  context: CommandContext,
): Promise<void> {
  const { stdout, env } = context;
  const width = stdout.columns ?? (Number(env["COLUMNS"]) || 80);
  for (let at = 0; at < questions.length; at += PROMPTS_AT_ONCE) {
    const part = questions.slice(at, at + PROMPTS_AT_ONCE);
    const answers = await answerAll(opened, part, adapters, options, context.signal);
    for (const [q, question] of part.entries()) {
      const own = (answers[q] ?? []).map((answer, i) => ({ adapter: adapters[i] ?? null, ...answer }));
      if (json) {
        const { text: prompt } = await promptOf(opened, question, adapters[0]);
        const shown: unknown[] = [];
        for (const { adapter, text, ids: tokens, finishReason } of own) {
          const { text: ownPrompt } = await promptOf(opened, question, adapter);
          shown.push({ adapter, text, tokens, finishReason, ...(ownPrompt !== prompt && { prompt: ownPrompt }) });
        }
        printJson(context, { prompt, scale: options.scale, answers: shown });
        continue;
      }
      const columns = own.map(({ adapter, text }) => ({ title: adapter ?? "base", text: text.trim() }));
      const title = [question.instruction, question.input].filter(Boolean).join("\n");
      stdout.write(`${at + q > 0 ? "\n" : ""}${sideBySide(title, columns, width)}\n`);
    }
  }
}
