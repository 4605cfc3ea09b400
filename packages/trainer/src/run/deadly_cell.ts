/** What a cell that no worker survives is told as: with the text of its samples. */
import type { DeadlyCellError } from "@zerogate/workers";
import type { RunInputs } from "./inputs.ts";
import { sampleText } from "./samples.ts";

/** Samples that are told, and characters of each. */
const MAX_TOLD = 5;
const MAX_TEXT = 200;

/** The error's message, a line per sample, and what to do. */
export function describeDeadlyCell(
  { message, samples }: DeadlyCellError,
  inputs: Pick<RunInputs, "train" | "tokenizer" | "template">,
): string {
  const { tokens, recordOf } = inputs.train;
  const lines = samples.slice(0, MAX_TOLD).map((sample) => {
    const text = sampleText(tokens, sample, inputs);
    const shown = text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
    return `\n  - sample ${sample} (record ${recordOf[sample]} of the data): ${JSON.stringify(shown)}`;
  });
  if (samples.length > MAX_TOLD) lines.push(`\n  - and ${samples.length - MAX_TOLD} more`);
  const advice = "make room in memory, lower cellTokens in a new run, or take these samples out";
  return `${message}${lines.join("")}\nThe state before this step is saved: ${advice}`;
}
