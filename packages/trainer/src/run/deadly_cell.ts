/** What a cell that no worker survives is told as: with the text of its samples. */
import type { DeadlyCellError } from "@zerogate/workers";
import type { RunInputs } from "./inputs.ts";

/** Samples that are told, and characters of each. */
const MAX_TOLD = 5;
const MAX_TEXT = 200;

/** The error's message, a line per sample, and what to do. */
export function describeDeadlyCell(
  { message, samples }: DeadlyCellError,
  { train, tokenizer }: Pick<RunInputs, "train" | "tokenizer">,
): string {
  const { ids, offsets } = train.tokens;
  const lines = samples.slice(0, MAX_TOLD).map((sample) => {
    const text = tokenizer.decode([...ids.subarray(offsets[sample], offsets[sample + 1])]);
    const shown = text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
    return `\n  - sample ${sample} (record ${train.recordOf[sample]} of the data): ${JSON.stringify(shown)}`;
  });
  if (samples.length > MAX_TOLD) lines.push(`\n  - and ${samples.length - MAX_TOLD} more`);
  return `${message}${lines.join("")}\nThe state before this step is saved: free memory, lower cellTokens in a new run, or take these samples out`;
}
