/** Samples that are validated and trained on: as they are, or with the same question and another answer. */
import type { TokenSet } from "@zerogate/core";
import { type SampleTokens, sampleBlocks } from "@zerogate/core/node";
import { createFingerprints } from "./fingerprints.ts";
import { bytesOf } from "./token_set.ts";

/** Some samples of a set. */
export interface ChosenSamples {
  readonly tokens: SampleTokens;
  readonly samples: Int32Array;
}

/** What validation shares with training. */
export interface Leaks {
  /** Validated samples that are trained on as they are. */
  readonly same: number;
  /** Others whose question is trained on. */
  readonly sameQuestion: number;
  /** The first of either, and the first training sample that it is like. */
  readonly first: { readonly validation: number; readonly train: number } | undefined;
}

/**
 * Finds what validation shares with training, token for token. A question is all before the first target.
 *
 * @param asks false if all tokens are targets, so that nothing is known of questions.
 */
export function findLeaks(train: ChosenSamples, validation: ChosenSamples, asks: boolean): Leaks {
  const count = validation.samples.length;
  const [wholes, questions] = [createFingerprints(count), createFingerprints(count)];
  const order = new Int32Array(count);
  const [firstWhole, firstQuestion] = [new Int32Array(count), new Int32Array(count)];
  let seen = 0;
  for (const { sample, ids, asked } of contents(validation, asks)) {
    order[seen] = sample;
    firstWhole[seen] = wholes.add(ids);
    firstQuestion[seen] = asked === undefined ? -1 : questions.add(asked);
    seen++;
  }
  const [wholeIn, questionIn] = [new Int32Array(count).fill(-1), new Int32Array(count).fill(-1)];
  const note = (found: number, list: Int32Array, sample: number) => {
    if (found >= 0 && list[found]! < 0) list[found] = sample;
  };
  for (const { sample, ids, asked } of contents(train, asks)) {
    note(wholes.find(ids), wholeIn, sample);
    if (asked !== undefined) note(questions.find(asked), questionIn, sample);
  }
  let [same, sameQuestion] = [0, 0];
  let first: Leaks["first"];
  for (let i = 0; i < count; i++) {
    const whole = wholeIn[firstWhole[i]!]!;
    const question = firstQuestion[i]! < 0 ? -1 : questionIn[firstQuestion[i]!]!;
    if (whole >= 0) same++;
    else if (question >= 0) sameQuestion++;
    else continue;
    first ??= { validation: order[i]!, train: whole >= 0 ? whole : question };
  }
  return { same, sameQuestion, first };
}

interface Content {
  readonly sample: number;
  readonly ids: Uint8Array;
  readonly asked: Uint8Array | undefined;
}

function* contents({ tokens, samples }: ChosenSamples, asks: boolean): Generator<Content> {
  const isChosen = new Uint8Array(tokens.offsets.length - 1);
  for (const sample of samples) isChosen[sample] = 1;
  for (const { first, tokens: block } of sampleBlocks(tokens)) {
    for (let i = 0; i + 1 < block.offsets.length; i++) {
      if (isChosen[first + i] === 1) yield contentOf(block, i, first + i, asks);
    }
  }
}

function contentOf({ ids, target, offsets }: TokenSet, at: number, sample: number, asks: boolean): Content {
  const [begin, end] = [offsets[at]!, offsets[at + 1]!];
  const whole = bytesOf(ids.subarray(begin, end));
  if (!asks) return { sample, ids: whole, asked: undefined };
  const length = Math.max(1, target.subarray(begin, end).indexOf(1));
  return { sample, ids: whole, asked: whole.subarray(0, 4 * length) };
}
