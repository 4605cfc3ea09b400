/** Log-likelihoods of the choices of questions, under a base and any number of adapters at once. */
import { InputError } from "@zerogate/core";
import { type ChoiceItem, encodePair, type Tokenizer } from "@zerogate/data";
import type { AdapterVersion, DevicePool, ScoreRequest } from "@zerogate/workers";
import { choiceCells, type EncodedChoice } from "./choice_cells.ts";

/** What scores. */
export interface Scorer {
  readonly pool: Pick<DevicePool, "scoreCells">;
  readonly tokenizer: Tokenizer;
  readonly contextLength: number;
  /** Undefined: the base alone. */
  readonly models: readonly (AdapterVersion | undefined)[];
  readonly signal?: AbortSignal | undefined;
}

/** A question, scored. */
export interface ScoredItem {
  readonly item: ChoiceItem;
  /** Of each model, the log-likelihood of each choice. */
  readonly logLikelihoods: readonly (readonly number[])[];
  /** Choices whose context was cut at its beginning, because they are longer than the model's context. */
  readonly truncated: number;
}

/** Tokens of a pass over all models. */
export const PASS_TOKENS = 4096;
/** Questions that are tokenised together; those of the next ones are made while devices compute. */
const BATCH = 64;

/**
 * Scores questions one after another: the same bits for any number of workers, where the engine keeps rows apart.
 *
 * @throws InputError for a choice that has no token of its own or does not fit the model's context.
 */
export async function* scoreItems(scorer: Scorer, items: Iterable<ChoiceItem>): AsyncGenerator<ScoredItem, void> {
  const left = items[Symbol.iterator]();
  const next = async () => encodeBatch(scorer, left);
  let batch = await next();
  while (batch.length > 0) {
    scorer.signal?.throwIfAborted();
    const [scored, following] = await Promise.all([scoreBatch(scorer, batch), next()]);
    yield* scored;
    batch = following;
  }
}

interface EncodedItem {
  readonly item: ChoiceItem;
  readonly choices: readonly EncodedChoice[];
  readonly truncated: number;
}

function encodeBatch(scorer: Scorer, items: Iterator<ChoiceItem>): EncodedItem[] {
  const batch: EncodedItem[] = [];
  while (batch.length < BATCH) {
    const { value: item, done } = items.next();
    if (done) break;
    batch.push(encodeItem(scorer, item));
  }
  return batch;
}

/** A text that is too long loses its beginning; the last token is predicted and not read, so one more than the context fits. */
function encodeItem({ tokenizer, contextLength }: Scorer, item: ChoiceItem): EncodedItem {
  let truncated = 0;
  const choices = item.pairs.map(({ context, continuation }, c) => {
    const { ids, scored } = encodePair(tokenizer, context, continuation);
    const attempt = `Cannot score choice ${c} of record ${item.doc}`;
    if (scored < 1)
      throw new InputError(attempt, "it has no token of its own behind its question: leave the record out");
    if (scored > contextLength) {
      throw new InputError(
        attempt,
        `it has ${scored} tokens, the model's context is ${contextLength}: leave the record out`,
      );
    }
    if (ids.length > contextLength + 1) truncated++;
    return { ids: ids.slice(-(contextLength + 1)), scored };
  });
  return { item, choices, truncated };
}

async function scoreBatch({ pool, models }: Scorer, batch: readonly EncodedItem[]): Promise<ScoredItem[]> {
  const room = Math.floor(PASS_TOKENS / models.length);
  const cells = choiceCells(
    batch.map(({ choices }) => choices),
    room,
  );
  const scores = await pool.scoreCells(cells.map(({ cell }): ScoreRequest => ({ cell, adapters: models })));
  const found = batch.map(({ choices }) => models.map(() => choices.map(() => 0)));
  for (const [n, { rows, choices }] of cells.entries()) {
    for (const [i, [item, choice]] of choices.entries()) {
      for (const [m, nll_R] of (scores[n] ?? []).entries()) {
        const own = found[item]?.[m];
        if (own) own[choice] = -sumOf(nll_R.subarray(...(rows[i] ?? [0, 0])));
      }
    }
  }
  return batch.map(({ item, truncated }, i) => ({ item, logLikelihoods: found[i] ?? [], truncated }));
}

const sumOf = (values: Float32Array): number => values.reduce((sum, value) => sum + value, 0);
