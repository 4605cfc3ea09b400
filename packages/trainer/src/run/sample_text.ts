/** Samples as a person reads them, in answers and in errors. */
import { readSamples, type SampleTokens } from "@zerogate/core/node";
import { type PreparedTokens, parsePrompt } from "@zerogate/data";
import type { HeldOut } from "../open/data.ts";
import type { RunInputs } from "./inputs.ts";

/** Samples, and the records that they came from. */
export type SampleSource = Pick<PreparedTokens<SampleTokens>, "tokens" | "recordOf">;

/** Characters of a sample that errors show. */
const MAX_TEXT = 200;

/** Instruction and input of a prompt, without the template. */
export function askedIn(
  ids: readonly number[],
  { tokenizer, template }: Pick<RunInputs, "tokenizer" | "template">,
): string {
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

/** Prompt and answer of a sample: the answer begins at its first target, and ends with the turn in a chat of several. */
export function splitSample(
  { tokens }: Pick<HeldOut, "tokens">,
  sample: number,
): { promptIds: number[]; answerIds: number[] } {
  const [set, at] = "ids" in tokens ? [tokens, sample] : [readSamples(tokens, [sample]), 0];
  const { ids, target, offsets } = set;
  const begin = offsets[at] ?? 0;
  const end = offsets[at + 1] ?? 0;
  let answer = begin + 1;
  while (answer < end && target[answer] === 0) answer++;
  let last = answer;
  while (last < end && target[last] === 1) last++;
  return { promptIds: [...ids.subarray(begin, answer)], answerIds: [...ids.subarray(answer, last)] };
}
