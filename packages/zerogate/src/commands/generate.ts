/** `zerogate generate`: continues a prompt or answers instructions, with one adapter or with several side by side. */
import { streamText } from "@zerogate/core";
import { readGenerationConfig } from "@zerogate/core/node";
import { encodePrompt, renderPrompt } from "@zerogate/data";
import { endTokens, locateModel, type OpenedModel, openModel } from "@zerogate/trainer";
import { openStatus } from "../status/display.ts";
import { type AnswerOptions, optionsFor, samplingFlags } from "./answer_options.ts";
import { answerSideBySide } from "./compare.ts";
import { type CommandContext, type ExitCode, printJson } from "./context.ts";
import { engineFlags, outputBiasFlag, promptFlags } from "./flags.ts";
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
  options: AnswerOptions,
  { stop = [], json = false }: GenerateFlags,
  context: CommandContext,
): Promise<void> {
  const format = formatFor(question, promptFormat(model.activeAdapter));
  const promptIds = encodePrompt(tokenizer, format, question);
  const begin = performance.now();
  const tokens = model.generate(promptIds, {
    ...optionsFor(options, promptIds),
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
