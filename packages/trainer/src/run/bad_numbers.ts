/** What a step with bad numbers is told as: layer, cell, samples and their text. */
import type { AdapterLayout } from "@zerogate/core";
import type { BadCell, DevicePool, StepRefusedError } from "@zerogate/workers";
import type { RunInputs } from "./inputs.ts";
import { sampleText } from "./samples.ts";

/** Cells, and samples of a cell, that are told at length. */
const MAX_TOLD = 3;
const MAX_TEXT = 200;

export interface BadNumbersReport {
  /** One line, the same for any number of workers: the receipt holds it. */
  readonly reason: string;
  /** With the samples' text, for people. */
  readonly message: string;
}

/** Says what was bad, and which samples of a cell are to blame: those whose own loss is bad, else all. */
export async function reportBadNumbers(
  { step, badCells }: StepRefusedError,
  inputs: Pick<RunInputs, "layout" | "train" | "tokenizer" | "template">,
  pool: DevicePool,
  version: number,
): Promise<BadNumbersReport> {
  const { layout, train } = inputs;
  const told = badCells.slice(0, MAX_TOLD);
  const more = badCells.length > told.length ? `; ${badCells.length - told.length} more cells` : "";
  const reason = `${told.map((cell) => describeCell(cell, layout)).join("; ")}${more}`;
  const lines = [`Step ${step + 1} has numbers that cannot be used: ${reason}`];
  for (const { cell, samples } of told) {
    const guilty = await guiltySamples(samples, pool, version);
    const blamed = guilty.length > 0 ? guilty : samples;
    if (guilty.length === 0) lines.push(`cell ${cell}: the loss of each of its samples is finite`);
    for (const sample of blamed.slice(0, MAX_TOLD)) {
      const text = sampleText(train.tokens, sample, inputs);
      const shown = text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
      const record = train.recordOf[sample];
      lines.push(`cell ${cell}, sample ${sample} (record ${record} of the data): ${JSON.stringify(shown)}`);
    }
  }
  return { reason: reason.slice(0, 1000), message: lines.join("\n  ") };
}

function describeCell({ cell, samples, count, parameter, value }: BadCell, layout: AdapterLayout): string {
  const ids = samples.length > 8 ? `${samples.slice(0, 8).join(", ")}, …` : samples.join(", ");
  const what = parameter === undefined ? "the loss" : `the gradient of ${parameterName(layout, parameter)}`;
  return `cell ${cell} (samples ${ids}): ${what} is ${value}${count > 1 ? `, ${count - 1} more numbers` : ""}`;
}

/** `prompt 3, column 17 of layer 12`: a place in the flat vector of parameters. */
export function parameterName(layout: AdapterLayout, index: number): string {
  const place = layout.places.findLast(({ prompt }) => prompt <= index);
  if (!place || index < 0 || index >= layout.length)
    throw new RangeError(`Cannot name parameter ${index} of ${layout.length}`);
  const { layer, prompt, gate } = place;
  if (index >= gate)
    return layout.gateLength === 1 ? `the gate of layer ${layer}` : `gate ${index - gate} of layer ${layer}`;
  const width = (gate - prompt) / layout.promptLength;
  const at = index - prompt;
  return `prompt ${Math.floor(at / width)}, column ${at % width} of layer ${layer}`;
}

async function guiltySamples(samples: readonly number[], pool: DevicePool, version: number): Promise<number[]> {
  const guilty: number[] = [];
  for (const sample of samples) {
    const { lossSum } = await pool.evaluate({ set: "train", cells: [[sample]], adapter: true, version });
    if (!Number.isFinite(lossSum)) guilty.push(sample);
  }
  return guilty;
}
