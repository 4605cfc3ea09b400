/**
 * ScienceQA's problems answered in two ways: the choice whose sentence is the most likely, and what greedy text names. Both
 * under each condition of the images, for the classes that the authors report.
 */
import {
  type AdaptionPromptModel,
  type ChosenText,
  imageOf,
  type PromptFormat,
  type SeenImages,
  type TokenSet,
} from "@zerogate/core";
import {
  answerOf,
  type ClassAccuracy,
  encodeQuestion,
  encodeSample,
  type InstructionRecord,
  joinSamples,
  namedChoice,
  rightChoices,
  type ScienceProblem,
  scienceAccuracy,
  type Tokenizer,
} from "@zerogate/data";
import { answerLosses } from "./answer_losses.ts";
import { imageConditions } from "./image_conditions.ts";

/** What answers. */
export interface Answering {
  /** Its active adapter answers, or the base. */
  readonly model: Pick<AdaptionPromptModel, "losses" | "generateBatch" | "activeAdapter" | "base">;
  readonly tokenizer: Tokenizer;
  readonly format: PromptFormat;
  /** Tokens that end a text. */
  readonly eosTokenIds: readonly number[];
}

/** What is asked. */
export interface SeenQuestions {
  readonly problems: readonly ScienceProblem[];
  /** Of each problem, as it is asked; undefined for one that cannot be asked. */
  readonly records: readonly (InstructionRecord | undefined)[];
  /** Of the problems; undefined if nothing sees them. */
  readonly images: SeenImages | undefined;
}

/** How well a model answers under one condition. */
interface ScienceResult {
  readonly condition: string;
  /** By the likeliest choice. */
  readonly options: readonly ClassAccuracy[];
  /** By what greedy text names. */
  readonly greedy: readonly ClassAccuracy[];
  /** Share of greedy texts that name no choice, or several; they count as wrong. */
  readonly failed: number;
}

/** All of them, and what did not fit. */
export interface ScienceEvaluation {
  readonly results: readonly ScienceResult[];
  /** Problems that cannot be asked, or do not fit the model's context with all their choices; they count as wrong. */
  readonly unanswered: number;
}

const NEW_TOKENS = 16;

/**
 * Answers all problems under each condition.
 * @param options `seed` decides whose images the shuffled ones are.
 */
export async function evaluateScience(
  answering: Answering,
  questions: SeenQuestions,
  options: {
    readonly seed: number;
    readonly signal?: AbortSignal;
    readonly onProgress?: (done: number, total: number) => void;
  },
): Promise<ScienceEvaluation> {
  const { problems, images } = questions;
  const choices = encodeChoices(answering, questions);
  const conditions = imageConditions(images, options.seed);
  const results: ScienceResult[] = [];
  let done = 0;
  for (const condition of conditions) {
    const chosen = await likeliest(answering, choices, problems.length, condition.images, options.signal);
    options.onProgress?.(++done, 2 * conditions.length);
    const named = await greedyChoices(answering, questions, choices.fits, condition.images, options.signal);
    options.onProgress?.(++done, 2 * conditions.length);
    const failed = named.filter((choice) => choice === undefined).length / problems.length;
    results.push({
      condition: condition.name,
      options: scienceAccuracy(problems, rightChoices(problems, chosen)),
      greedy: scienceAccuracy(problems, rightChoices(problems, named)),
      failed,
    });
  }
  return { results, unanswered: problems.length - choices.fits.size };
}

/** Every choice of every problem that fits the context, as a sample whose target is its sentence. */
interface EncodedChoices {
  readonly tokens: TokenSet | undefined;
  /** Of each sample. */
  readonly choiceOf: readonly { readonly problem: number; readonly choice: number }[];
  /** Numbers of the problems that fit. */
  readonly fits: ReadonlySet<number>;
}

function encodeChoices({ tokenizer, format, model }: Answering, { problems, records }: SeenQuestions): EncodedChoices {
  const { contextLength } = model.base.config;
  const samples: { ids: readonly number[]; firstTarget: number }[] = [];
  const choiceOf: { problem: number; choice: number }[] = [];
  const fits = new Set<number>();
  for (const [p, problem] of problems.entries()) {
    const asked = records[p];
    if (asked === undefined) continue;
    const own = problem.choices.map((_, choice) => {
      const record = { ...asked, output: answerOf(choice) };
      const { ids, firstTarget } = encodeSample(
        tokenizer,
        { ...format, rule: "response", maxLength: Infinity },
        record,
      );
      return { ids: ids.slice(0, -1), firstTarget }; // the end of a text is no part of the sentence
    });
    if (own.some(({ ids }) => ids.length > contextLength)) continue;
    fits.add(p);
    samples.push(...own);
    choiceOf.push(...own.map((_, choice) => ({ problem: p, choice })));
  }
  return { tokens: samples.length > 0 ? joinSamples(samples) : undefined, choiceOf, fits };
}

/** Returns the choice of the lowest loss of each problem, the first of several. */
async function likeliest(
  { model }: Answering,
  { tokens, choiceOf }: EncodedChoices,
  problems: number,
  images: SeenImages | undefined,
  signal: AbortSignal | undefined,
): Promise<(number | undefined)[]> {
  const best: ({ choice: number; loss: number } | undefined)[] = Array.from({ length: problems }, () => undefined);
  if (tokens === undefined) return Array.from(best, () => undefined);
  const seen = images && {
    ...images,
    rowOf: Int32Array.from(choiceOf, ({ problem }) => images.rowOf[problem] ?? -1),
  };
  const losses = await answerLosses(model, { ...tokens, images: seen }, { ...(signal && { signal }) });
  for (const [sample, { problem, choice }] of choiceOf.entries()) {
    const loss = losses[sample] ?? Infinity;
    const known = best[problem];
    if (known === undefined || loss < known.loss) best[problem] = { choice, loss };
  }
  return best.map((one) => one?.choice);
}

/** Returns the choice that greedy text names of each problem. */
async function greedyChoices(
  { model, tokenizer, format, eosTokenIds }: Answering,
  { records }: SeenQuestions,
  fits: ReadonlySet<number>,
  images: SeenImages | undefined,
  signal: AbortSignal | undefined,
): Promise<(number | undefined)[]> {
  const asked = records.flatMap((record, problem) => (record && fits.has(problem) ? [{ record, problem }] : []));
  const texts: ChosenText[] = [];
  for (const { record, problem } of asked) {
    const { ids: promptIds } = await encodeQuestion(tokenizer, format, record);
    const adapter = model.activeAdapter ?? null;
    const image = imageOf(images, problem);
    texts.push({ promptIds, maxNewTokens: NEW_TOKENS, eosTokenIds, adapter, ...(image && { image }) });
  }
  const ids = texts.map((): number[] => []);
  for await (const event of model.generateBatch(texts, { signal }))
    if ("id" in event) ids[event.request]?.push(event.id);
  const named: (number | undefined)[] = records.map(() => undefined);
  for (const [i, { problem }] of asked.entries()) named[problem] = namedChoice(tokenizer.decode(ids[i] ?? []));
  return named;
}
