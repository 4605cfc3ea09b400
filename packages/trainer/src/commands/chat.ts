/** `zerogate chat`: instructions typed one after another; each is answered on its own, as the adapter was trained. */
import { createInterface } from "node:readline/promises";
import { InputError, streamText } from "@zerogate/core";
import { encodePrompt, loadTemplate } from "@zerogate/data";
import { type OpenedModel, openModel } from "../run/open_model.ts";
import { openStatus } from "../status/display.ts";
import type { CommandContext, ExitCode } from "./context.ts";
import { engineFlags, outputBiasFlag } from "./flags.ts";
import { endTokens, type GenerateFlags, samplingFlags } from "./generate.ts";

export type ChatFlags = Omit<GenerateFlags, "prompt" | "instruction" | "input" | "json">;

const help = `Type an instruction and press Enter.
  /input TEXT     give the next instruction an input
  /adapter NAME   answer with another adapter      /base   answer without one
  /help           this text                        /quit   leave (or Ctrl-D)
`;

export async function chatCommand(flags: ChatFlags, context: CommandContext): Promise<ExitCode> {
  const options = samplingFlags(flags);
  const template = await loadTemplate(flags.template ?? "alpaca");
  const status = openStatus(context.stderr, context.env);
  const opened = await openModel(flags.model, {
    ...engineFlags(flags),
    adapters: flags.adapter ?? [],
    outputBias: outputBiasFlag(flags),
    onWarning: status.log,
    onPhase: status.phase,
  }).finally(() => status.stop());
  if (flags.use !== undefined) opened.model.setAdapter(flags.use);
  context.stderr.write(`${describeAdapters(opened)}\n${help}`);

  let input = "";
  const lines = createInterface({ input: context.stdin, terminal: false });
  context.signal.addEventListener("abort", () => lines.close(), { once: true });
  const prompt = () => context.stderr.write("> ");
  prompt();
  for await (const typed of lines) {
    const line = typed.trim();
    if (line === "/quit" || context.signal.aborted) break;
    if (line.startsWith("/input ")) input = line.slice(7).trim();
    else if (line.startsWith("/")) context.stderr.write(runSetting(line, opened));
    else if (line !== "") {
      await answer(
        opened,
        encodePrompt(opened.tokenizer, template, { instruction: line, input }),
        { ...options, stop: flags.stop ?? [] },
        context,
      );
      input = "";
    }
    prompt();
  }
  lines.close();
  return context.signal.aborted ? 130 : 0;
}

async function answer(
  { model, tokenizer }: OpenedModel,
  promptIds: readonly number[],
  { stop, ...options }: ReturnType<typeof samplingFlags> & { readonly stop: readonly string[] },
  context: CommandContext,
): Promise<void> {
  try {
    const tokens = model.generate(promptIds, {
      ...options,
      eosTokenIds: endTokens(tokenizer, model),
      signal: context.signal,
    });
    for await (const part of streamText(tokens, tokenizer, { prefix: promptIds, stop })) context.stdout.write(part);
    context.stdout.write("\n");
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    context.stderr.write(`${error.message}\n`); // for example a prompt too long: the conversation goes on
  }
}

/** Carries out a `/` line and says what is so now. */
function runSetting(line: string, opened: OpenedModel): string {
  const { model } = opened;
  const [command, name = ""] = line.split(/\s+/, 2);
  if (command === "/base") model.disableAdapterLayers();
  else if (command === "/adapter") {
    if (!model.adapterNames.includes(name)) return `There is no adapter "${name}". ${describeAdapters(opened)}\n`;
    model.setAdapter(name);
    model.enableAdapterLayers();
  } else return help;
  return `${describeAdapters(opened)}\n`;
}

function describeAdapters({ model }: OpenedModel): string {
  const { adapterNames, activeAdapter, isEnabled } = model;
  if (adapterNames.length === 0) return "The base alone answers.";
  return `Answers: ${isEnabled ? activeAdapter : "the base"}. Adapters: ${adapterNames.join(", ")}.`;
}
