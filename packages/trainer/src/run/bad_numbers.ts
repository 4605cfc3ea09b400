/** Describes a step with bad numbers: layer, cell, samples and their text. */
import { type AdapterLayout, type ParameterTable, StepRefusedError } from "@zerogate/core";
import { type BadCell, describeBadNumbers, partAt, partLength } from "@zerogate/core/training";
import type { StepPlan } from "@zerogate/data";
import type { AdapterVersion, DevicePool, Step } from "@zerogate/workers";
import type { RunInputs } from "./inputs.ts";
import { describeSample } from "./sample_text.ts";

/** Cells, and samples of a cell, that are described at length. */
const MAX_SHOWN = 3;

export interface BadNumbersReport {
  /** One line, the same for any number of workers: the receipt holds it. */
  readonly reason: string;
  /** With the samples' text, for people. */
  readonly message: string;
}

/** Says what was bad, and which samples of a cell are to blame: those that are bad by themselves, else all. */
export async function reportBadNumbers(
  { badCells }: StepRefusedError,
  { step, labelledTokens }: StepPlan,
  inputs: Pick<RunInputs, "layout" | "train" | "tokenizer" | "template">,
  pool: Pick<DevicePool, "runStep">,
  adapter: AdapterVersion,
): Promise<BadNumbersReport> {
  const { layout, train } = inputs;
  const shown = badCells.slice(0, MAX_SHOWN);
  const more = badCells.length > shown.length ? `; ${badCells.length - shown.length} more cells` : "";
  const reason = `${shown.map((cell) => describeCell(cell, layout)).join("; ")}${more}`;
  const lines = [`Step ${step + 1} has numbers that cannot be used: ${reason}`];
  const isGuilty = (sample: number) => isBad(pool, { step, cells: [[sample]], scale: 1 / labelledTokens, ...adapter });
  for (const { cell, samples } of shown) {
    const guilty: number[] = [];
    for (const sample of samples) if (await isGuilty(sample)) guilty.push(sample);
    const blamed = guilty.length > 0 ? guilty : samples;
    if (guilty.length === 0) lines.push(`cell ${cell}: each of its samples can be used by itself`);
    for (const sample of blamed.slice(0, MAX_SHOWN)) {
      lines.push(`cell ${cell}, ${describeSample(train, sample, inputs)}`);
    }
  }
  return { reason: reason.slice(0, 1000), message: lines.join("\n  ") };
}

function describeCell(bad: BadCell, layout: AdapterLayout): string {
  const { cell, samples } = bad;
  const ids = samples.length > 8 ? `${samples.slice(0, 8).join(", ")}, …` : samples.join(", ");
  return `cell ${cell} (samples ${ids}): ${describeBadNumbers(bad, (parameter) => parameterName(layout.table, parameter))}`;
}

/** `prompt 3, column 17 of layer 12`: a place in the flat vector of parameters. */
export function parameterName(table: ParameterTable, index: number): string {
  const part = partAt(table, index);
  const at = index - part.offset;
  const width = part.shape.at(-1) ?? 1;
  const where = part.layer === undefined ? "" : ` of layer ${part.layer}`;
  if (partLength(part) === 1) return `the ${part.part}${where}`;
  if (part.shape.length === 1) return `${part.part} ${at}${where}`;
  return `${part.part} ${Math.floor(at / width)}, column ${at % width}${where}`;
}

/** Whether a step of these cells has numbers that cannot be used; nothing is committed. */
async function isBad(pool: Pick<DevicePool, "runStep">, alone: Step): Promise<boolean> {
  try {
    await pool.runStep(alone);
    return false;
  } catch (error) {
    if (error instanceof StepRefusedError) return true;
    throw error;
  }
}
