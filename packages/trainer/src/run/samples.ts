/** Held-out prompts answered by the base and by the adapter: what a person looks at first. */
import { type PreparedTokens, parsePrompt } from "@zerogate/data";
import type { DevicePool } from "@zerogate/workers";
import type { SampleAnswer } from "../report/data.ts";
import { tellingSamples } from "./deadly_cell.ts";
import type { HeldOut, RunInputs } from "./inputs.ts";

/** Samples, and the records that they came from. */
export type SampleSource = Pick<PreparedTokens, "tokens" | "recordOf">;

/** Longest answer shown, in tokens. */
const MAX_ANSWER_TOKENS = 64;
/** Characters of a sample that errors show. */
const MAX_TEXT = 200;

/** Greedy answers to the first `count` held-out samples. */
export async function answerSamples(
  pool: DevicePool,
  heldOut: HeldOut,
  { tokenizer, template }: Pick<RunInputs, "tokenizer" | "template">,
  count: number,
  version: number,
): Promise<SampleAnswer[]> {
  const questions = heldOut.samples.slice(0, count).map((sample) => splitSample(heldOut, sample));
  const prompts = questions.map(({ promptIds }) => promptIds);
  const longest = Math.max(1, ...questions.map(({ answerIds }) => answerIds.length));
  const options = { maxNewTokens: Math.min(MAX_ANSWER_TOKENS, 2 * longest + 8), eosTokenIds: [tokenizer.eosId] };
  const generate = (adapter: boolean) =>
    tellingSamples(pool.generateAll({ prompts, adapter, version, options }), heldOut, { tokenizer, template });
  const base = await generate(false);
  const adapted = await generate(true);
  const text = (ids: readonly number[] | undefined) => tokenizer.decode(ids ?? []).trim();
  return questions.map(({ promptIds, answerIds }, i) => ({
    prompt: askedIn(promptIds, { tokenizer, template }),
    expected: text(answerIds),
    base: text(base[i]?.ids),
    adapter: text(adapted[i]?.ids),
  }));
}

/** Instruction and input of a prompt, without the template. */
function askedIn(ids: readonly number[], { tokenizer, template }: Pick<RunInputs, "tokenizer" | "template">): string {
  const prompt = tokenizer.decode(ids);
  const { instruction, input } = parsePrompt(template, prompt) ?? { instruction: prompt, input: "" };
  return input === "" ? instruction : `${instruction}\n${input}`;
}

/** A sample as a person knows it: its record, what is asked, an arrow, the answer. */
export function describeSample(
  { tokens, recordOf }: SampleSource,
  sample: number,
  inputs: Pick<RunInputs, "tokenizer" | "template">,
): string {
  const { promptIds, answerIds } = splitSample({ tokens }, sample);
  const text = `${askedIn(promptIds, inputs)} → ${inputs.tokenizer.decode(answerIds).trim()}`;
  const shown = text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
  return `sample ${sample} (record ${recordOf[sample]} of the data): ${JSON.stringify(shown)}`;
}

/** Prompt and answer of a sample: the answer begins at its first target. */
function splitSample(
  { tokens }: Pick<HeldOut, "tokens">,
  sample: number,
): { promptIds: number[]; answerIds: number[] } {
  const { ids, target, offsets } = tokens;
  const begin = offsets[sample] ?? 0;
  const end = offsets[sample + 1] ?? 0;
  let answer = begin + 1;
  while (answer < end && target[answer] === 0) answer++;
  return { promptIds: [...ids.subarray(begin, answer)], answerIds: [...ids.subarray(answer, end)] };
}
