/** `zerogate convert --gate-reduce lstsq`: gates fitted on the texts of a data file, through the base itself. */
import { type AdapterState, type FittedGate, fitGates, InputError, type PromptFormat, packCell } from "@zerogate/core";
import { cacheFolder } from "@zerogate/core/node";
import { cutCells, loadTemplate, measureSamples, prepareTokens } from "@zerogate/data";
import { openModel } from "@zerogate/trainer";
import type { CommandContext } from "./context.ts";

/** Enough to tell how heads weigh against each other; what comes after the first of them is not looked at. */
const CALIBRATION_TOKENS = 2048;

/** The first records of `paths`, up to 2,048 tokens, written as `format` says, by default as the original's. */
export async function fitOnData(
  folder: string,
  state: AdapterState,
  paths: readonly string[],
  format: PromptFormat | undefined,
  { stderr, env, signal }: CommandContext,
): Promise<FittedGate[]> {
  const onWarning = (message: string) => stderr.write(`${message}\n`);
  const opened = await openModel({ model: folder }, { onWarning });
  const { base } = opened.model;
  const { tokens, stats } = await prepareTokens({
    paths,
    tokenizer: opened.tokenizer,
    template: format?.template ?? (await loadTemplate("alpaca")),
    bos: format?.bos ?? "named",
    rule: "response",
    maxLength: Math.min(512, base.config.contextLength),
    cacheDir: cacheFolder(env),
    onWarning,
    signal,
  });
  const samples = Array.from({ length: stats.samples }, (_, i) => i);
  const [first] = cutCells(samples, measureSamples(tokens).lengths, CALIBRATION_TOKENS);
  if (first === undefined)
    throw new InputError("Cannot fit the gates", "the data hold no sample, at least 1 is needed");
  return fitGates(base, state, packCell(tokens, first));
}
