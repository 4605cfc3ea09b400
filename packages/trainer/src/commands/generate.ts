/** `zerogate generate`: continues a prompt, or answers an instruction under a template. */
import { InputError, type SamplingOptions, streamText } from "@zerogate/core";
import { encodePrompt, loadTemplate, renderPrompt, type Template, type Tokenizer } from "@zerogate/data";
import { openModel } from "../run/open_model.ts";
import { openStatus } from "../status/display.ts";
import { type CommandContext, type ExitCode, printJson } from "./context.ts";
import { engineFlags, numberFlag, outputBiasFlag } from "./flags.ts";

export interface GenerateFlags {
  readonly model: string;
  readonly adapter?: readonly string[];
  /** Name of the adapter to use; default: the first. */
  readonly use?: string;
  readonly prompt?: string;
  readonly instruction?: string;
  readonly input?: string;
  readonly template?: string;
  readonly stop?: readonly string[];
  readonly outputBias?: string;
  readonly engine?: string;
  readonly compute?: string;
  readonly maxNewTokens?: string;
  readonly temperature?: string;
  readonly topP?: string;
  readonly topK?: string;
  readonly seed?: string;
  readonly json?: boolean;
}

export async function generateCommand(flags: GenerateFlags, context: CommandContext): Promise<ExitCode> {
  const options = samplingFlags(flags);
  const { template, ...asked } = await question(flags);
  const status = openStatus(context.stderr, context.env);
  const { model, tokenizer } = await openModel(flags.model, {
    ...engineFlags(flags),
    adapters: flags.adapter ?? [],
    outputBias: outputBiasFlag(flags),
    onWarning: status.log,
    onPhase: status.phase,
  }).finally(() => status.stop());
  if (flags.use !== undefined) model.setAdapter(flags.use);

  const promptIds = encodePrompt(tokenizer, template, asked);
  const begin = performance.now();
  const tokens = model.generate(promptIds, {
    ...options,
    eosTokenIds: endTokens(tokenizer, model),
    signal: context.signal,
  });
  const stream = streamText(tokens, tokenizer, { prefix: promptIds, stop: flags.stop ?? [] });
  let next = await stream.next();
  for (; !next.done; next = await stream.next()) if (!flags.json) context.stdout.write(next.value);
  const { text, ids, finishReason } = next.value;
  const tokensPerSecond = (1000 * ids.length) / (performance.now() - begin);
  if (flags.json)
    printJson(context, { prompt: renderPrompt(template, asked), text, tokens: ids, finishReason, tokensPerSecond });
  else context.stdout.write("\n");
  return 0;
}

/** What ends an answer: the model's end tokens and the tokenizer's, which training appends. */
export function endTokens(
  tokenizer: Tokenizer,
  model: { base: { config: { eosTokenIds: readonly number[] } } },
): number[] {
  return [...new Set([...model.base.config.eosTokenIds, tokenizer.eosId])];
}

/** Sampling options from flags, all problems at once. */
export function samplingFlags(
  flags: Pick<GenerateFlags, "maxNewTokens" | "temperature" | "topP" | "topK" | "seed">,
): Required<SamplingOptions> & { readonly maxNewTokens: number } {
  const problems: string[] = [];
  const options = {
    maxNewTokens: numberFlag("--max-new-tokens", flags.maxNewTokens, 128, { min: 1, whole: true }, problems),
    temperature: numberFlag("--temperature", flags.temperature, 0, { min: 0 }, problems),
    topP: numberFlag("--top-p", flags.topP, 1, { min: 0, max: 1 }, problems),
    topK: numberFlag("--top-k", flags.topK, 0, { min: 0, whole: true }, problems),
    seed: numberFlag("--seed", flags.seed, 0, { min: 0, max: 2 ** 32 - 1, whole: true }, problems),
  };
  if (problems.length > 0) throw new InputError("Cannot generate", problems);
  return options;
}

interface Question {
  readonly template: Template;
  readonly instruction: string;
  readonly input: string;
}

/** `--prompt` is an instruction under the template that adds nothing. */
export const verbatim: Template = {
  name: "verbatim",
  withInput: "{instruction}{input}",
  withoutInput: "{instruction}",
};

async function question({ prompt, instruction, input = "", template = "alpaca" }: GenerateFlags): Promise<Question> {
  if ((prompt === undefined) === (instruction === undefined)) {
    throw new InputError("Cannot generate", "expected either --prompt TEXT or --instruction TEXT");
  }
  if (instruction === undefined) return { template: verbatim, instruction: prompt ?? "", input: "" };
  return { template: await loadTemplate(template), instruction, input };
}
