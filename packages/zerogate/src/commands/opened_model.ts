/** Opens the model that `generate` and `chat` answer with, as their flags name it. */
import { readGenerationConfig } from "@zerogate/core/node";
import { type OpenedModel, openModel } from "@zerogate/trainer";
import { locateModel } from "@zerogate/trainer/command";
import { openStatus } from "../status/display.ts";
import { type AnswerLimits, type SamplingFlags, samplingFlags } from "./answer_options.ts";
import type { CommandContext } from "./context.ts";
import { type EngineFlags, engineFlags, outputBiasFlag, promptFlags } from "./flags.ts";
import { fetchMissing } from "./hub_names.ts";

export interface ModelFlags extends EngineFlags, SamplingFlags {
  /** Default: the base that the first adapter names. */
  readonly model?: string;
  /** Name of the adapter to use; default: the first. */
  readonly use?: string;
  /** Folder of the tower that sees images. Default: that which the adapter names. */
  readonly tower?: string;
  readonly acceptTower?: boolean;
  readonly template?: string;
  readonly bos?: string;
  readonly links?: boolean;
  readonly outputBias?: string;
  readonly tokenizer?: string;
  readonly strictTensors?: boolean;
  readonly download?: boolean;
}

/** Checks the flags before anything large is loaded. */
export async function openAnsweringModel(
  flags: ModelFlags,
  adapters: readonly string[],
  context: CommandContext,
): Promise<{ opened: OpenedModel; options: AnswerLimits }> {
  const { stderr, env } = context;
  const onNote = (note: string) => stderr.write(`${note}\n`);
  const { model, tokenizer, links, strictTensors = false, use, tower, acceptTower } = flags;
  await fetchMissing([model, tokenizer, tower, ...adapters], flags.download, context);
  const { folder, adapters: found } = await locateModel({ model, adapters, links }, onNote);
  const options = samplingFlags(flags, await readGenerationConfig(folder));
  const status = openStatus(stderr, env);
  const opened = await openModel(
    {
      ...engineFlags(flags),
      ...promptFlags(flags),
      model: folder,
      tokenizer,
      adapters: found,
      links,
      tower,
      acceptTower,
      outputBias: outputBiasFlag(flags),
      strictTensors,
    },
    { onWarning: status.log, onPhase: status.phase, onNote },
  ).finally(() => status.stop());
  if (use !== undefined) opened.model.setAdapter(use);
  return { opened, options };
}
