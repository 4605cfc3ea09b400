/** The questions of a task answered by a base and adapters side by side: by the likeliest choice, or in writing. */
import { InputError } from "@zerogate/core";
import {
  type AnyLoadedTask,
  choiceItems,
  choose,
  isSameNumber,
  type LoadedTask,
  lastNumber,
  type OpenItem,
  type OpenTask,
  openItems,
  strictNumber,
  untilStop,
} from "@zerogate/data";
import type { AdapterVersion, DevicePool } from "@zerogate/workers";
import { type ScoredItem, type Scorer, scoreItems } from "./score_items.ts";
import type { AnsweredItem, ModelAnswer } from "./task_summary.ts";

/** What answers. */
export interface TaskAnswering extends Omit<Scorer, "pool" | "models"> {
  readonly pool: Pick<DevicePool, "scoreCells" | "generateAll">;
  readonly models: readonly { readonly name: string; readonly adapter: AdapterVersion | undefined }[];
  /** Tokens that end an answer. */
  readonly eosTokenIds: readonly number[];
}

/** Answers that are written together; those of one batch are kept at once. */
const WRITTEN_BATCH = 16;

/**
 * Answers the questions of a task that `isWanted` names, in their order.
 *
 * @throws InputError for a question that does not fit the model's context.
 */
export async function* answerTask(
  answering: TaskAnswering,
  loaded: AnyLoadedTask,
  isWanted: (doc: number) => boolean = () => true,
): AsyncGenerator<AnsweredItem, void> {
  if (isOpen(loaded)) {
    yield* writeAnswers(answering, loaded, isWanted);
    return;
  }
  const { models, ...rest } = answering;
  const scorer = { ...rest, models: models.map(({ adapter }) => adapter) };
  for await (const scored of scoreItems(scorer, wanted(choiceItems(loaded), isWanted))) {
    yield chosenItem(loaded, scored, models);
  }
}

function isOpen(loaded: AnyLoadedTask): loaded is LoadedTask<OpenTask> {
  return loaded.task.kind === "open";
}

/** All items are made, because each draws its examples after those before it. */
function* wanted<Item extends { readonly doc: number }>(
  items: Iterable<Item>,
  isWanted: (doc: number) => boolean,
): Generator<Item, void> {
  for (const item of items) if (isWanted(item.doc)) yield item;
}

function chosenItem(
  { task }: Pick<LoadedTask, "task">,
  { item, logLikelihoods, truncated }: ScoredItem,
  models: TaskAnswering["models"],
): AnsweredItem {
  const { doc, section, gold, answers } = item;
  const answer = (own: readonly number[]): ModelAnswer => {
    const { likeliest, likeliestByLength } = choose(own, answers);
    const byLength = task.metrics.some((metric) => metric === "acc_norm");
    const right = { acc: likeliest === gold, ...(byLength && { acc_norm: likeliestByLength === gold }) };
    return { right, chosen: likeliest, logLikelihoods: own };
  };
  const ofModels = Object.fromEntries(models.map(({ name }, m) => [name, answer(logLikelihoods[m] ?? [])]));
  return { task: task.name, doc, ...(section !== undefined && { section }), gold, models: ofModels, truncated };
}

async function* writeAnswers(
  { pool, tokenizer, contextLength, models, eosTokenIds, signal }: TaskAnswering,
  loaded: LoadedTask<OpenTask>,
  isWanted: (doc: number) => boolean,
): AsyncGenerator<AnsweredItem, void> {
  const { task } = loaded;
  const room = contextLength - task.maxNewTokens;
  if (room < 1) {
    const problem = `its answers have up to ${task.maxNewTokens} tokens, the model's context is ${contextLength}`;
    throw new InputError(`Cannot ask ${task.name}`, `${problem}: use a model with a longer one`);
  }
  const options = { maxNewTokens: task.maxNewTokens, eosTokenIds };
  for (const batch of batches(wanted(openItems(loaded), isWanted), WRITTEN_BATCH)) {
    signal?.throwIfAborted();
    const encoded = batch.map(({ prompt }) => tokenizer.encode(prompt));
    const prompts = encoded.map((ids) => ids.slice(-room));
    const written: string[][] = [];
    for (const { adapter } of models) {
      const answers = await pool.generateAll({ prompts, adapter, options });
      written.push(answers.map(({ ids }) => untilStop(tokenizer.decode(ids), task.stops)));
    }
    for (const [i, item] of batch.entries()) {
      const answer = models.map(({ name }, m) => [name, writtenAnswer(item, written[m]?.[i] ?? "")] as const);
      const truncated = (encoded[i]?.length ?? 0) > room ? 1 : 0;
      yield { task: task.name, doc: item.doc, models: Object.fromEntries(answer), truncated };
    }
  }
}

function writtenAnswer({ target }: OpenItem, text: string): ModelAnswer {
  const right = {
    strict: isSameNumber(strictNumber(text), target),
    flexible: isSameNumber(lastNumber(text), target),
  };
  return { right, text };
}

function* batches<Item>(items: Iterable<Item>, size: number): Generator<Item[], void> {
  let batch: Item[] = [];
  for (const item of items) {
    batch.push(item);
    if (batch.length < size) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}
