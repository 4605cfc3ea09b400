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

/** Greedy answers to the first `count` held-out samples, by the base and by this adapter. */
export async function answerSamples(
  pool: Pick<DevicePool, "generateAll">,
  heldOut: HeldOut,
  { tokenizer, template, model }: Pick<RunInputs, "tokenizer" | "template" | "model">,
  count: number,
  adapter: AdapterVersion,
): Promise<SampleAnswer[]> {
  const asked = [...heldOut.samples.subarray(0, count)];
  const questions = asked.map((sample) => splitSample(heldOut, sample));
  const prompts = questions.map(({ promptIds }) => promptIds);
  const longest = Math.max(1, ...questions.map(({ answerIds }) => answerIds.length));
  const options = {
    maxNewTokens: Math.min(MAX_ANSWER_TOKENS, 2 * longest + 8),
    eosTokenIds: endTokens(tokenizer, model, template),
  };
  const images = asked.map((sample) => imageOf(heldOut.tokens.images, sample));
  const generate = (by: AdapterVersion | undefined) => {
    const seen = by && images.some(Boolean) ? { images } : {}; // the base sees none
    const work = pool.generateAll({ prompts, ...seen, adapter: by, options });
    return tellingSamples(work, heldOut, { tokenizer, template });
  };
  const base = await generate(undefined);
  const adapted = await generate(adapter);
  const text = (ids: readonly number[] | undefined) => tokenizer.decode(ids ?? []).trim();
  return questions.map(({ promptIds, answerIds }, i) => {
    const shown = imagesOf(heldOut, heldOut.samples[i] ?? -1);
    return {
      prompt: askedIn(promptIds, { tokenizer, template }),
      expected: text(answerIds),
      base: text(base[i]?.ids),
      adapter: text(adapted[i]?.ids),
      ...(shown.length > 0 && { images: shown }),
    };
  });
}

/** The images of a sample's record. */
function imagesOf({ images = [], recordOf }: HeldOut, sample: number): AnsweredImage[] {
  const own = images.find(({ record }) => record === recordOf[sample]);
  return own ? own.paths.map((path) => ({ root: own.root, path })) : [];
}
