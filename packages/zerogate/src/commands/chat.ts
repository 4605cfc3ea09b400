/**
 * `zerogate chat`: instructions typed one after another, answered as the adapter was trained: each on its own, or under a template
 * of chats after what was said before.
 */
import { createInterface } from "node:readline/promises";
import { InputError, isChatTemplate } from "@zerogate/core";
import { askedMessage, type ChatMessage } from "@zerogate/data";
import { type AnswerOptions, answer, type OpenedModel, type Question } from "@zerogate/trainer";
import type { CommandContext, ExitCode } from "./context.ts";
import type { GenerateFlags } from "./generate.ts";
import { openAnsweringModel } from "./opened_model.ts";

export type ChatFlags = Omit<
  GenerateFlags,
  "prompt" | "instruction" | "input" | "image" | "prompts" | "fields" | "compare" | "json"
>;

const help = `Type an instruction and press Enter.
  /input TEXT     give the next instruction an input
  /image FILE     ask the next instruction about an image
  /adapter NAME   answer with another adapter      /base   answer without one
  /scale S        how much of it, 0 to 1
  /system TEXT    begin a new chat with this system prompt        /new   begin a new chat
  /help           this text                        /quit   leave (or Ctrl-D)
`;

export async function chatCommand(flags: ChatFlags, context: CommandContext): Promise<ExitCode> {
  const { opened, options } = await openAnsweringModel(flags, flags.adapter ?? [], context);
  let { scale } = options;
  context.stderr.write(`${describeAdapters(opened, scale)}\n${help}`);

  let input = "";
  let images: string[] = [];
  let said: readonly ChatMessage[] = [];
  const lines = createInterface({ input: context.stdin, terminal: false });
  context.signal.addEventListener("abort", () => lines.close(), { once: true });
  const prompt = () => context.stderr.write("> ");
  prompt();
  for await (const typed of lines) {
    const line = typed.trim();
    if (line === "/quit" || context.signal.aborted) break;
    if (line.startsWith("/input ")) input = line.slice(7).trim();
    else if (line.startsWith("/image ")) {
      images = [...images, line.slice(7).trim()];
      context.stderr.write(`The next instruction is about ${images.join(", ")}.\n`);
    } else if (line === "/new" || line.startsWith("/system ")) {
      said = line === "/new" ? [] : [{ role: "system", content: line.slice(8).trim() }];
      context.stderr.write(isOneChat(opened) ? "A new chat begins.\n" : `${NO_CHAT}\n`);
    } else if (line.startsWith("/")) {
      const setting = runSetting(line, opened, scale);
      ({ scale } = setting);
      context.stderr.write(`${setting.says}\n`);
    } else if (line !== "") {
      const asked = { instruction: line, input, images, ...(isOneChat(opened) && { messages: said }) };
      const text = await printAnswer(opened, asked, { ...options, scale, stop: flags.stop ?? [] }, context);
      if (text !== undefined) said = [...said, askedMessage(asked), { role: "assistant", content: text }];
      input = "";
      images = [];
    }
    prompt();
  }
  lines.close();
  return context.signal.aborted ? 130 : 0;
}

const NO_CHAT = "Each instruction is answered on its own: the template is none of chats.";

/** Whether what was said before is part of the next question. */
function isOneChat({ model, promptFormat }: OpenedModel): boolean {
  return isChatTemplate(promptFormat(model.activeAdapter).template);
}

/** Returns the whole answer; undefined if there is none. */
async function printAnswer(
  opened: OpenedModel,
  question: Question,
  options: AnswerOptions,
  context: CommandContext,
): Promise<string | undefined> {
  let text = "";
  try {
    for await (const part of answer(opened, question, options, context.signal)) {
      text += part;
      context.stdout.exact(part);
    }
    context.stdout.write("\n");
    return text;
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    context.stderr.write(`${error.message}\n`); // for example a prompt too long: the conversation goes on
    return undefined;
  }
}

/** Carries out a `/` line and says what is so now. */
function runSetting(line: string, opened: OpenedModel, scale: number): { says: string; scale: number } {
  const { model } = opened;
  const [command, argument = ""] = line.split(/\s+/, 2);
  if (command === "/base") model.disableAdapterLayers();
  else if (command === "/adapter") {
    if (!model.adapterNames.includes(argument)) {
      return { says: `There is no adapter "${argument}". ${describeAdapters(opened, scale)}`, scale };
    }
    model.setAdapter(argument);
    model.enableAdapterLayers();
  } else if (command === "/scale") {
    const asked = argument === "" ? Number.NaN : Number(argument);
    if (!(asked >= 0 && asked <= 1))
      return { says: "A scale is a number from 0 (the base) to 1 (the adapter).", scale };
    return { says: describeAdapters(opened, asked), scale: asked };
  } else return { says: help.trimEnd(), scale };
  return { says: describeAdapters(opened, scale), scale };
}

function describeAdapters({ model }: OpenedModel, scale: number): string {
  const { adapterNames, activeAdapter, isEnabled } = model;
  if (adapterNames.length === 0) return "The base alone answers.";
  const blend = scale === 1 ? "" : ` at a scale of ${scale}`;
  return `Answers: ${isEnabled ? `${activeAdapter}${blend}` : "the base"}. Adapters: ${adapterNames.join(", ")}.`;
}
