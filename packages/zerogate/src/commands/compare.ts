/** Several prompts, or several adapters for each: computed as one batch, shown side by side. */
import { type ChosenText, type FinishReason, streamText } from "@zerogate/core";
import { encodePrompt, renderPrompt } from "@zerogate/data";
import type { OpenedModel } from "@zerogate/trainer";
import { endTokens } from "@zerogate/trainer";
import { sideBySide } from "../status/columns.ts";
import { type AnswerOptions, optionsFor } from "./answer_options.ts";
import { type CommandContext, printJson } from "./context.ts";
import { formatFor, type Question } from "./questions.ts";

export interface CompareOptions extends AnswerOptions {
  readonly stop: readonly string[];
  readonly json: boolean;
}

interface Answer {
  /** `null` is the base. */
  readonly adapter: string | null;
  readonly text: string;
  readonly tokens: readonly number[];
  readonly finishReason: FinishReason;
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
      const own = answers.slice(q * adapters.length, (q + 1) * adapters.length);
      if (json) {
        const promptOf = (adapter: string | null | undefined) =>
          renderPrompt(formatFor(question, opened.promptFormat(adapter)).template, question);
        const prompt = promptOf(adapters[0]);
        const told = own.map((answer) => {
          const ownPrompt = promptOf(answer.adapter);
          return ownPrompt === prompt ? answer : { ...answer, prompt: ownPrompt };
        });
        printJson(context, { prompt, scale: options.scale, answers: told });
        continue;
      }
      const columns = own.map(({ adapter, text }) => ({ title: adapter ?? "base", text: text.trim() }));
      const title = [question.instruction, question.input].filter((line) => line !== "").join("\n");
      stdout.write(`${at + q > 0 ? "\n" : ""}${sideBySide(title, columns, width)}\n`);
    }
  }
}

/** The answers to every question of every adapter, question by question. */
async function answerAll(
  { model, tokenizer, promptFormat }: OpenedModel,
  questions: readonly Question[],
  adapters: readonly (string | null)[],
  { stop, ...options }: Omit<CompareOptions, "json">,
  signal: AbortSignal,
): Promise<Answer[]> {
  const eosTokenIds = endTokens(tokenizer, model.base.config);
  const texts = questions.flatMap((question) =>
    adapters.map((adapter) => {
      const promptIds = encodePrompt(tokenizer, formatFor(question, promptFormat(adapter)), question);
      return { ...optionsFor(options, promptIds), promptIds, adapter, eosTokenIds } satisfies ChosenText;
    }),
  );
  const found = texts.map(() => ({ tokens: [] as number[], finishReason: "length" as FinishReason }));
  for await (const event of model.generateBatch(texts, { signal })) {
    const text = found[event.request];
    if (!text) continue;
    if ("id" in event) text.tokens.push(event.id);
    else text.finishReason = event.finishReason;
  }
  return Promise.all(
    found.map(async ({ tokens, finishReason }, i) => {
      const { adapter = null, promptIds = [] } = texts[i] ?? {};
      const stream = streamText(replay(tokens, finishReason), tokenizer, { prefix: promptIds, stop });
      let next = await stream.next();
      while (!next.done) next = await stream.next();
      return { adapter, text: next.value.text, tokens: next.value.ids, finishReason: next.value.finishReason };
    }),
  );
}

/** Tokens that are known already, as `streamText` takes them. */
async function* replay(
  tokens: readonly number[],
  finishReason: FinishReason,
): AsyncGenerator<number, FinishReason, void> {
  yield* tokens;
  return finishReason;
}
