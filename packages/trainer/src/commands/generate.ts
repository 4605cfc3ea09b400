/** `zerogate generate`: continues a prompt or answers instructions, with one adapter or with several side by side. */
import { InputError, type SamplingOptions, streamText } from "@zerogate/core";
import { type GenerationConfig, readGenerationConfig } from "@zerogate/core/node";
import { encodePrompt, renderPrompt } from "@zerogate/data";
import { MAX_TEMPERATURE, MAX_TOKENS, MAX_VOCABULARY } from "../config/limits.ts";
import { endTokens } from "../run/end_tokens.ts";
import { locateModel } from "../run/locate.ts";
import { type OpenedModel, openModel } from "../run/open_model.ts";
import { openStatus } from "../status/display.ts";
import { answerSideBySide } from "./compare.ts";
import { type CommandContext, type ExitCode, printJson } from "./context.ts";
import { engineFlags, numberFlag, outputBiasFlag, promptFlags } from "./flags.ts";
import { formatFor, type Question, type QuestionFlags, questionsOf } from "./questions.ts";

export interface GenerateFlags extends QuestionFlags {
  /** Default: the base that the first adapter names. */
  readonly model?: string;
  readonly adapter?: readonly string[];
  /** Name of the adapter to use; default: the first. */
  readonly use?: string;
  /** Adapters that answer beside the base, as `--adapter` takes them. */
  readonly compare?: readonly string[];
  readonly template?: string;
  readonly bos?: string;
  readonly scale?: string;
  readonly stop?: readonly string[];
  readonly links?: boolean;
  readonly outputBias?: string;
  readonly engine?: string;
  readonly compute?: string;
  readonly storage?: string;
  readonly strictTensors?: boolean;
  readonly devices?: string;
  readonly maxNewTokens?: string;
  readonly temperature?: string;
  readonly topP?: string;
  readonly topK?: string;
  readonly seed?: string;
  readonly samplingDefaults?: boolean;
  readonly json?: boolean;
}

/** Longest answer where neither flag nor generation_config.json says one. */
const DEFAULT_NEW_TOKENS = 128;

export async function generateCommand(flags: GenerateFlags, context: CommandContext): Promise<ExitCode> {
  const questions = await questionsOf(flags);
  const wanted = {
    model: flags.model,
    adapters: [...(flags.adapter ?? []), ...(flags.compare ?? [])],
    links: flags.links,
  };
  const located = await locateModel(wanted, (note) => context.stderr.write(`${note}\n`));
  const options = samplingFlags(flags, await readGenerationConfig(located.folder));
  const status = openStatus(context.stderr, context.env);
  const opened = await openModel(located, {
    ...engineFlags(flags),
    ...promptFlags(flags),
    outputBias: outputBiasFlag(flags),
    strictTensors: flags.strictTensors ?? false,
    onWarning: status.log,
    onPhase: status.phase,
  }).finally(() => status.stop());
  const { model } = opened;
  if (flags.use !== undefined) model.setAdapter(flags.use);
  const [only] = questions;
  if (only && flags.prompts === undefined && flags.compare === undefined) {
    await answerOne(opened, only, options, flags, context);
    return 0;
  }
  const { stop = [], json = false } = flags;
  const adapters = flags.compare ? [null, ...model.adapterNames] : [model.activeAdapter ?? null];
  await answerSideBySide(opened, questions, adapters, { ...options, stop, json }, context);
  return 0;
}

/** The text as it comes, or one JSON object. */
async function answerOne(
  { model, tokenizer, promptFormat }: OpenedModel,
  question: Question,
  options: ReturnType<typeof samplingFlags>,
  { stop = [], json = false }: GenerateFlags,
  context: CommandContext,
): Promise<void> {
  const format = formatFor(question, promptFormat(model.activeAdapter));
  const promptIds = encodePrompt(tokenizer, format, question);
  const begin = performance.now();
  const tokens = model.generate(promptIds, {
    ...options,
    eosTokenIds: endTokens(tokenizer, model.base.config),
    signal: context.signal,
  });
  const stream = streamText(tokens, tokenizer, { prefix: promptIds, stop });
  let next = await stream.next();
  for (; !next.done; next = await stream.next()) if (!json) context.stdout.exact(next.value);
  const { text, ids, finishReason } = next.value;
  const tokensPerSecond = (1000 * ids.length) / (performance.now() - begin);
  if (json)
    printJson(context, {
      prompt: renderPrompt(format.template, question),
      text,
      tokens: ids,
      finishReason,
      tokensPerSecond,
    });
  else context.stdout.write("\n");
}

/** How to generate, from flags and, where they say nothing, from generation_config.json: its sampling on request only. All problems at once. */
export function samplingFlags(
  flags: Pick<GenerateFlags, "maxNewTokens" | "scale" | "temperature" | "topP" | "topK" | "seed" | "samplingDefaults">,
  { maxNewTokens = DEFAULT_NEW_TOKENS, sampling }: GenerationConfig,
): Required<SamplingOptions> & { readonly maxNewTokens: number; readonly scale: number } {
  const problems: string[] = [];
  if (flags.samplingDefaults && !sampling)
    problems.push("--sampling-defaults: generation_config.json asks for no sampling, give --temperature instead");
  const usual = flags.samplingDefaults ? sampling : undefined;
  const options = {
    maxNewTokens: numberFlag(
      "--max-new-tokens",
      flags.maxNewTokens,
      maxNewTokens,
      { min: 1, max: MAX_TOKENS, whole: true },
      problems,
    ),
    scale: numberFlag("--scale", flags.scale, 1, { min: 0, max: 1 }, problems),
    temperature: numberFlag(
      "--temperature",
      flags.temperature,
      usual?.temperature ?? 0,
      { min: 0, max: MAX_TEMPERATURE },
      problems,
    ),
    topP: numberFlag("--top-p", flags.topP, usual?.topP ?? 1, { min: 0, max: 1 }, problems),
    topK: numberFlag("--top-k", flags.topK, usual?.topK ?? 0, { min: 0, max: MAX_VOCABULARY, whole: true }, problems),
    seed: numberFlag("--seed", flags.seed, 0, { min: 0, max: 2 ** 32 - 1, whole: true }, problems),
  };
  if (problems.length > 0) throw new InputError("Cannot generate", problems);
  return options;
}
