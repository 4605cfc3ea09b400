/** Answers of an opened model: questions written as the adapter was trained on them, and their texts. */
import {
  type BatchOptions,
  type ChosenText,
  type FinishReason,
  type GenerateOptions,
  InputError,
  type SamplingOptions,
  streamText,
  type Template,
} from "@zerogate/core";
import { type ChatMessage, type EncodedPrompt, encodeQuestion } from "@zerogate/data";
import { endTokens } from "./end_tokens.ts";
import type { OpenedModel } from "./model.ts";

/** What is asked, under the template of who answers. */
export interface Question {
  readonly instruction: string;
  /** @default "" */
  readonly input?: string;
  /** What was said before it, under a template of chats. @default nothing */
  readonly messages?: readonly ChatMessage[];
  /** Image files that it is about; several are seen as one: the mean of theirs, or all of their tokens. The base alone sees none. @default none */
  readonly images?: readonly string[];
  /** Continues the instruction as it is, without a template. @default false */
  readonly isVerbatim?: boolean;
}

/** How answers are generated. */
export interface AnswerOptions extends SamplingOptions {
  /** Longest answer, in tokens. @default 128 */
  readonly maxNewTokens?: number;
  /** Most tokens of prompt and answer together; at least one of them is the answer's. @default no limit */
  readonly maxTokens?: number | undefined;
  /** How much of the adapter: 0 is the base, 1 the adapter. @default 1 */
  readonly scale?: number;
  /** Texts before which an answer ends. @default none */
  readonly stop?: readonly string[];
}

/** A whole answer. */
export interface Answer {
  /** Cut before the first stop text. */
  readonly text: string;
  /** Tokens that were generated. */
  readonly ids: readonly number[];
  readonly finishReason: FinishReason;
}

const DEFAULT_NEW_TOKENS = 128;

/** The template that adds nothing. */
const verbatim: Template = { name: "verbatim", withInput: "{instruction}{input}", withoutInput: "{instruction}" };

/** Returns the prompt of a question as an adapter gets it, as text and as tokens; `null` is the base. */
export async function promptOf(
  opened: OpenedModel,
  question: Question,
  adapter: string | null | undefined,
): Promise<EncodedPrompt> {
  const { instruction, input = "", messages } = question;
  const format = { ...opened.promptFormat(adapter), template: templateFor(opened, question, adapter) };
  return await encodeQuestion(opened.tokenizer, format, { instruction, input, messages });
}

function templateFor(
  { promptFormat }: OpenedModel,
  { isVerbatim = false }: Question,
  adapter: string | null | undefined,
): Template {
  return isVerbatim ? verbatim : promptFormat(adapter).template;
}

/**
 * Answers with the active adapter: yields the text as it comes and returns the whole answer.
 *
 * @throws InputError if the prompt does not fit the model's context, and as `OpenedModel.look` for images; the signal's reason
 * once it is aborted.
 * @example
 * for await (const text of answer(opened, { instruction: "Name a colour." }, { maxNewTokens: 20 })) write(text);
 */
export async function* answer(
  opened: OpenedModel,
  question: Question,
  { stop = [], ...options }: AnswerOptions = {},
  signal?: AbortSignal,
): AsyncGenerator<string, Answer, void> {
  const { model, tokenizer } = opened;
  const { ids: promptIds } = await promptOf(opened, question, model.activeAdapter);
  const active = model.isEnabled ? model.activeAdapter : undefined;
  if (active === undefined && question.images && question.images.length > 0) {
    throw new InputError(
      "Cannot show an image to the base",
      "it sees none: use an adapter that was trained with images",
    );
  }
  const image = await seen(opened, question, active);
  const settings = {
    ...limits(opened, promptIds, options, templateFor(opened, question, model.activeAdapter)),
    ...(image && { image }),
    ...(signal && { signal }),
  };
  const tokens = model.generate(promptIds, settings);
  return yield* streamText(tokens, tokenizer, { prefix: promptIds, stop });
}

/**
 * Answers every question with every one of the adapters, as one batch; `null` is the base.
 *
 * @returns for each question its answers, in the order of `adapters`.
 * @throws InputError that lists the prompts which do not fit the model's context.
 */
export async function answerAll(
  opened: OpenedModel,
  questions: readonly Question[],
  adapters: readonly (string | null)[],
  { stop = [], ...options }: AnswerOptions = {},
  signal?: AbortSignal,
): Promise<Answer[][]> {
  const texts: ChosenText[] = [];
  for (const question of questions) {
    for (const adapter of adapters) {
      const { ids: promptIds } = await promptOf(opened, question, adapter);
      const image = await seen(opened, question, adapter);
      const settings = limits(opened, promptIds, options, templateFor(opened, question, adapter));
      texts.push({ ...settings, promptIds, adapter, ...(image && { image }) });
    }
  }
  const found = await generated(opened, texts, { signal });
  const answers = await Promise.all(
    found.map(async ({ ids, finishReason }, i) => {
      const prefix = texts[i]?.promptIds ?? [];
      const stream = streamText(replay(ids, finishReason), opened.tokenizer, { prefix, stop });
      let next = await stream.next();
      while (!next.done) next = await stream.next();
      return next.value;
    }),
  );
  const each = adapters.length;
  return questions.map((_, q) => answers.slice(q * each, (q + 1) * each));
}

/** What an adapter sees of a question; the base sees nothing. */
async function seen(
  opened: OpenedModel,
  { images = [] }: Question,
  adapter: string | null | undefined,
): Promise<Float32Array | undefined> {
  if (typeof adapter !== "string") return undefined;
  const { vision } = opened.model.adapter(adapter).layout.shape;
  const sees = images.length > 0 || vision?.missingImage === "zero-image";
  return sees ? await opened.look(adapter, images) : undefined;
}

/** The options of one text, whose answer has at least one token. */
function limits(
  { tokenizer, model }: OpenedModel,
  promptIds: readonly number[],
  { maxNewTokens = DEFAULT_NEW_TOKENS, maxTokens = Infinity, ...options }: Omit<AnswerOptions, "stop">,
  template: Template,
): GenerateOptions {
  const longest = Math.max(1, Math.min(maxNewTokens, maxTokens - promptIds.length));
  return { ...options, maxNewTokens: longest, eosTokenIds: endTokens(tokenizer, model.base.config, template) };
}

async function generated(
  { model }: OpenedModel,
  texts: readonly ChosenText[],
  options: BatchOptions,
): Promise<Pick<Answer, "ids" | "finishReason">[]> {
  const found = texts.map(() => ({ ids: [] as number[], finishReason: "length" as FinishReason }));
  for await (const event of model.generateBatch(texts, options)) {
    const text = found[event.request];
    if (!text) continue;
    if ("id" in event) text.ids.push(event.id);
    else text.finishReason = event.finishReason;
  }
  return found;
}

/** Tokens that are known already, as `streamText` takes them. */
async function* replay(
  tokens: readonly number[],
  finishReason: FinishReason,
): AsyncGenerator<number, FinishReason, void> {
  yield* tokens;
  return finishReason;
}
