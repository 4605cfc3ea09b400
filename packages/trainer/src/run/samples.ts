/** Held-out prompts answered by the base and by the adapter: what a person looks at first. */
import { imageOf } from "@zerogate/core";
import type { AdapterVersion, DevicePool } from "@zerogate/workers";
import type { HeldOut } from "../open/data.ts";
import { endTokens } from "../open/end_tokens.ts";
import { tellingSamples } from "./deadly_cell.ts";
import type { RunInputs } from "./inputs.ts";
import type { AnsweredImage, SampleAnswer } from "./report_data.ts";
import { askedIn, splitSample } from "./sample_text.ts";

/** Longest answer shown, in tokens. */
const MAX_ANSWER_TOKENS = 64;

/** A held-out sample as it is asked. */
export interface AskedSample {
  /** Its number in its set. */
  readonly sample: number;
  readonly prompt: string;
  readonly expected: string;
  readonly promptIds: readonly number[];
  /** Tokens of the expected answer. */
  readonly length: number;
}

/** Greedy answers to the first `count` held-out samples, by the base and by this adapter. */
export async function answerSamples(
  pool: Pick<DevicePool, "generateAll">,
  heldOut: HeldOut,
  inputs: SampleInputs,
  count: number,
  adapter: AdapterVersion,
): Promise<SampleAnswer[]> {
  const asked = askedSamples(heldOut, inputs, count);
  const base = await writeAnswers(pool, heldOut, inputs, asked, undefined);
  const adapted = await writeAnswers(pool, heldOut, inputs, asked, adapter);
  return asked.map(({ sample, prompt, expected }, i) => {
    const shown = imagesOf(heldOut, sample);
    return {
      prompt,
      expected,
      base: base[i] ?? "",
      adapter: adapted[i] ?? "",
      ...(shown.length > 0 && { images: shown }),
    };
  });
}

type SampleInputs = Pick<RunInputs, "tokenizer" | "template" | "model">;

/** The first `count` held-out samples, as they are asked. */
export function askedSamples(
  heldOut: HeldOut,
  { tokenizer, template }: Pick<SampleInputs, "tokenizer" | "template">,
  count: number,
): AskedSample[] {
  return [...heldOut.samples.subarray(0, count)].map((sample) => {
    const { promptIds, answerIds } = splitSample(heldOut, sample);
    const prompt = askedIn(promptIds, { tokenizer, template });
    return { sample, prompt, expected: tokenizer.decode(answerIds).trim(), promptIds, length: answerIds.length };
  });
}

/**
 * Greedy answers to samples, each of at most twice the length of the longest expected one.
 *
 * @param most tokens of an answer
 */
export async function writeAnswers(
  pool: Pick<DevicePool, "generateAll">,
  heldOut: HeldOut,
  { tokenizer, template, model }: SampleInputs,
  asked: readonly AskedSample[],
  by: AdapterVersion | undefined,
  most: number = MAX_ANSWER_TOKENS,
): Promise<string[]> {
  const longest = Math.max(1, ...asked.map(({ length }) => length));
  const options = {
    maxNewTokens: Math.min(most, 2 * longest + 8),
    eosTokenIds: endTokens(tokenizer, model, template),
  };
  const images = asked.map(({ sample }) => imageOf(heldOut.tokens.images, sample));
  const seen = by && images.some(Boolean) ? { images } : {}; // the base sees none
  const work = pool.generateAll({ prompts: asked.map(({ promptIds }) => promptIds), ...seen, adapter: by, options });
  const written = await tellingSamples(work, heldOut, { tokenizer, template });
  return written.map(({ ids }) => tokenizer.decode(ids).trim());
}

/** The images of a sample's record. */
function imagesOf({ images = [], recordOf }: HeldOut, sample: number): AnsweredImage[] {
  const own = images.find(({ record }) => record === recordOf[sample]);
  return own ? own.paths.map((path) => ({ root: own.root, path })) : [];
}
