/** Describes a cell or prompt that killed two workers, with the text of its samples. */
import { DeadlyCellError } from "@zerogate/core";
import type { HeldOut } from "../open/data.ts";
import type { RunInputs } from "./inputs.ts";
import { describeSample, type SampleSource } from "./sample_text.ts";

/** Samples that are shown. */
const MAX_TOLD = 5;

/**
 * Waits for `work`. A DeadlyCellError becomes one with a line per sample and what to do.
 * @param source of the cells' samples; its own `samples` are those that prompts were made of, in their order.
 */
export async function tellingSamples<T>(
  work: Promise<T>,
  source: SampleSource & Partial<Pick<HeldOut, "samples">>,
  inputs: Pick<RunInputs, "tokenizer" | "template">,
): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof DeadlyCellError)) throw error;
    const { message, cell } = error;
    const samples = error.samples.length > 0 ? error.samples : [...(source.samples?.subarray(cell, cell + 1) ?? [])];
    const lines = samples.slice(0, MAX_TOLD).map((sample) => `\n  - ${describeSample(source, sample, inputs)}`);
    if (samples.length > MAX_TOLD) lines.push(`\n  - and ${samples.length - MAX_TOLD} more`);
    const advice = "Make room in memory, lower cellTokens in a new run, or take these samples out";
    throw new Error(`${message}${lines.join("")}\n${advice}`, { cause: error });
  }
}
