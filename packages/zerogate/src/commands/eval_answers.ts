/** What images tell an adapter, and ScienceQA by class: the parts of `zerogate eval` that compare answers one by one. */
import { availableParallelism } from "node:os";
import { InputError, type PromptFormat, type SeenImages, type WeightImage } from "@zerogate/core";
import type { LoadedAdapter } from "@zerogate/core/node";
import {
  type ClassAccuracy,
  type ConversationRule,
  chanceOf,
  type PreparedTokens,
  type ReadOptions,
  readScienceQuestions,
  type ScienceFormat,
  type ScienceQuestions,
  scienceAccuracy,
} from "@zerogate/data";
import { chooseEngine, fieldsFlag } from "@zerogate/run-config";
import {
  answerLosses,
  endTokens,
  evaluateScience,
  formatCount,
  formatLoss,
  imageConditions,
  modelHere,
  type OpenedBase,
  type ScienceEvaluation,
} from "@zerogate/trainer/command";
import type { StatusDisplay } from "../status/display.ts";
import type { CommandContext } from "./context.ts";
import { type EngineFlags, engineFlags, numberFlag } from "./flags.ts";

/** Flags that decide how answers are read and compared. */
export interface AnswerFlags extends EngineFlags {
  readonly data: readonly string[];
  readonly seed?: string;
  readonly scienceFormat?: ScienceFormat;
  readonly captions?: boolean;
  readonly conversation?: ConversationRule;
  readonly fields?: readonly string[];
  readonly links?: boolean;
  readonly outputBias?: string;
  readonly tokenizer?: string;
  readonly strictTensors?: boolean;
}

/** Loss under one condition of the images. */
interface ConditionLoss {
  readonly condition: string;
  /** Nats per labelled token. */
  readonly loss: number;
}

interface Answers {
  /** Own, no and others' images; absent if nothing sees images. */
  readonly images?: readonly ConditionLoss[];
  readonly science?: ScienceEvaluation & { readonly chance: readonly ClassAccuracy[] };
}

interface Evaluated {
  readonly base: OpenedBase;
  /** Of the base; undefined if each worker has read it for itself. */
  readonly weights: WeightImage | undefined;
  readonly adapter: LoadedAdapter | undefined;
  readonly prepared: PreparedTokens;
  readonly format: PromptFormat;
}

const MAX_SEED = 0xffff_ffff;

/** How the data are read, as the flags say: of ScienceQA the split for tests, unless a path names another. */
export function readingOf(flags: AnswerFlags): Reading {
  return {
    split: "test",
    scienceFormat: flags.scienceFormat ?? "QCM-A",
    captions: flags.captions ?? false,
    conversation: flags.conversation ?? "all",
    fields: fieldsFlag(flags.fields, "Cannot evaluate") ?? "auto",
  };
}

type Reading = Required<{
  readonly [K in "split" | "scienceFormat" | "captions" | "conversation" | "fields"]: NonNullable<ReadOptions[K]>;
}>;

/** Undefined for data without images that are not ScienceQA. */
export async function evaluateAnswers(
  { base, weights, adapter, prepared, format }: Evaluated,
  flags: AnswerFlags,
  status: StatusDisplay,
  { signal }: CommandContext,
): Promise<Answers | undefined> {
  const problems: string[] = [];
  const seed = numberFlag("--seed", flags.seed, 0, { min: 0, max: MAX_SEED, whole: true }, problems);
  if (problems.length > 0) throw new InputError("Cannot evaluate", problems);
  const { images } = prepared.tokens;
  const questions = await readScienceQuestions(flags.data, readingOf(flags));
  if (!questions && !images) return undefined;
  // One engine over all cores, in place of the workers'.
  const settings = { ...engineFlags(flags), compute: base.compute, workers: 1, isolate: false };
  const here = { ...base, engine: await chooseEngine(settings, base.model, availableParallelism()) };
  const adapters = adapter ? [{ name: "adapter", loaded: adapter }] : [];
  const model = await modelHere(here, adapters, status.phase, weights);
  const losses = images && (await conditionLosses(model, prepared, seed, status, signal));
  if (!questions) return losses && { images: losses };
  const { tokenizer } = base;
  const answering = { model, tokenizer, format, eosTokenIds: endTokens(tokenizer, base.model, format.template) };
  const science = await evaluateScience(answering, seenQuestions(questions, prepared), {
    seed,
    signal,
    onProgress: (done, total) => status.phase({ name: "answering", done, total }),
  });
  const chance = scienceAccuracy(questions.problems, chanceOf(questions.problems));
  return { ...(losses && { images: losses }), science: { ...science, chance } };
}

async function conditionLosses(
  model: Parameters<typeof answerLosses>[0],
  { tokens, stats }: PreparedTokens,
  seed: number,
  status: StatusDisplay,
  signal: AbortSignal,
): Promise<ConditionLoss[]> {
  const found: ConditionLoss[] = [];
  for (const { name, images } of imageConditions(tokens.images, seed)) {
    status.phase({ name: `evaluating with ${name}` });
    const sums = await answerLosses(model, { ...tokens, images }, { signal });
    found.push({ condition: name, loss: sums.reduce((a, b) => a + b, 0) / stats.labelled });
  }
  return found;
}

/** The problems with the images of the samples that were made of them; one without a sample cannot be asked. */
function seenQuestions({ problems, records }: ScienceQuestions, { tokens, recordOf }: PreparedTokens) {
  const sampleOf = new Map(Array.from(recordOf, (record, sample) => [record, sample]));
  const rowOf = Int32Array.from(problems, (_, p) => tokens.images?.rowOf[sampleOf.get(p) ?? -1] ?? -1);
  const images: SeenImages | undefined = tokens.images && { ...tokens.images, rowOf };
  return { problems, records: records.map((record, p) => (sampleOf.has(p) ? record : undefined)), images };
}

const NAME_COLUMNS = 26;
const CELL_COLUMNS = 8;

/** Tables for people. */
export function describeAnswers({ images, science }: Answers): string {
  const lines: string[] = [""];
  for (const { condition, loss } of images ?? [])
    lines.push(`${`loss, ${condition}`.padEnd(NAME_COLUMNS)}${formatLoss(loss)}`);
  if (science) {
    const { chance, results, unanswered } = science;
    if (images) lines.push("");
    lines.push(
      row(
        "accuracy in %",
        chance.map(({ name }) => name),
      ),
    );
    lines.push(
      row(
        "problems",
        chance.map(({ problems }) => formatCount(problems)),
      ),
    );
    lines.push(accuracies("chance", chance));
    for (const { condition, options } of results) lines.push(accuracies(`options, ${condition}`, options));
    for (const { condition, greedy } of results) lines.push(accuracies(`greedy, ${condition}`, greedy));
    for (const { condition, failed } of results) {
      lines.push(`${`greedy, ${condition}`.padEnd(NAME_COLUMNS)}${percent(100 * failed)} % name no choice, or several`);
    }
    if (unanswered > 0)
      lines.push(`${formatCount(unanswered)} problems do not fit the model's context and count as wrong`);
  }
  return `${lines.join("\n")}\n`;
}

const percent = (value: number | undefined): string => value?.toFixed(2) ?? "–";

const row = (name: string, cells: readonly string[]): string =>
  `${name.padEnd(NAME_COLUMNS)}${cells.map((cell) => cell.padStart(CELL_COLUMNS)).join("")}`;

const accuracies = (name: string, found: readonly ClassAccuracy[]): string =>
  row(
    name,
    found.map(({ accuracy }) => percent(accuracy)),
  );
