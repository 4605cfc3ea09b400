/** The prompt of a chat: under the model's template of chats, or under that of instructions that an adapter was trained with. */
import { isChatTemplate, isZerogateError, type Template } from "@zerogate/core";
import { type ChatMessage, encodeMessages, encodeQuestion } from "@zerogate/data";
import { badRequest } from "../http/api_error.ts";
import type { Prompt } from "./answer.ts";
import type { Served, Target } from "./served.ts";
import type { ChatBodyMessage } from "./shapes.ts";

/** @throws ApiError 400 for messages that the template does not write, with code `template_error`. */
export async function chatPrompt(
  { base }: Served,
  { adapter }: Target,
  messages: readonly ChatBodyMessage[],
): Promise<Prompt> {
  const { format, endIds } = adapter ?? base;
  const said = messages.map(plainMessage);
  try {
    const { template } = format;
    const { ids } = isChatTemplate(template)
      ? await encodeMessages(base.tokenizer, template, said)
      : await encodeQuestion(base.tokenizer, format, { instruction: instructionOf(template, said), input: "" });
    return { ids, endIds };
  } catch (error) {
    if (!isZerogateError(error, "input")) throw error;
    throw badRequest(error.message, "messages", "template_error");
  }
}

/** A message whose content is one text. */
function plainMessage({ content, role, ...others }: ChatBodyMessage): ChatMessage {
  const text = typeof content === "string" ? content : (content ?? []).map(textOfPart).join("");
  return { ...others, role: role === "developer" ? "system" : role, content: text };
}

const textOfPart = (part: { readonly type: string; readonly text?: unknown; readonly refusal?: unknown }): string =>
  String(part.type === "text" ? part.text : part.refusal);

/** The instruction of a chat under a template that knows no turns: the question, behind what the system says. */
function instructionOf({ name }: Template, messages: readonly ChatMessage[]): string {
  const asked = messages.at(-1);
  const before = messages.slice(0, -1);
  const attempt = `Cannot use the messages under the template "${name}"`;
  if (asked?.role !== "user") {
    throw badRequest(`${attempt}: the last one is of the ${asked?.role}, a question of the user is needed`, "messages");
  }
  const other = before.find(({ role }) => role !== "system");
  if (other) {
    const found = `one of the ${other.role} comes before the question, and it was trained on single instructions`;
    throw badRequest(`${attempt}: ${found}; send the last question alone`, "messages");
  }
  return [...before, asked].map(({ content }) => content).join("\n\n");
}
