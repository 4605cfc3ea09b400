/**
 * Conversations as LLaVA has them: `conversations`, a list of turns `{from: "human" or "gpt", value}`. Each answer is a record whose
 * instruction is the question before it and whose input is what was said before that.
 */
import type { FormItem } from "./captions.ts";
import { isObject } from "./record.ts";
import { quote } from "./record_problems.ts";

/** Which answers of a conversation are records. */
export type ConversationRule = "all" | "first";

const MARKER = "<image>";
/** The marker with the line break beside it: behind it if one is there, else in front. */
const MARKED = /<image>\n|\n<image>|<image>/g;

/** Whether this is a record with turns of a human and of a model. */
export function isConversation(value: unknown): value is { readonly conversations: readonly unknown[] } {
  if (!isObject(value) || !Array.isArray(value["conversations"])) return false;
  const turn: unknown = value["conversations"][0];
  return isObject(turn) && "from" in turn && "value" in turn;
}

/** A record for each answer, or for the first one. */
export function conversationItems(
  record: Readonly<Record<string, unknown>> & { readonly conversations: readonly unknown[] },
  rule: ConversationRule,
): FormItem[] {
  const { conversations, id: _, ...others } = record;
  const turns = turnsOf(conversations, hasImage(others["image"]));
  if ("fault" in turns) return [turns];
  const { said } = turns;
  const pairs = rule === "first" ? 1 : said.length / 2;
  return Array.from({ length: pairs }, (_pair, i): FormItem => {
    const before = said.slice(0, 2 * i).map((text, turn) => `${turn % 2 === 0 ? "Human" : "Assistant"}: ${text}`);
    return { item: { ...others, instruction: said[2 * i], input: before.join("\n"), output: said[2 * i + 1] } };
  });
}

type Turns = { readonly said: readonly string[] } | Extract<FormItem, { readonly fault: unknown }>;

/** The texts of both in turn, without markers of images. */
function turnsOf(conversations: readonly unknown[], withImage: boolean): Turns {
  const fault = (turn: number, found: string, expected: string): Turns => ({
    fault: { field: `conversations[${turn}]`, kind: found, found, expected },
  });
  const said: string[] = [];
  for (const [i, turn] of conversations.entries()) {
    const expected = i % 2 === 0 ? "human" : "gpt";
    if (!isObject(turn) || typeof turn["value"] !== "string") return fault(i, "no text", "from and value");
    const { from, value } = turn;
    if (from !== expected) return fault(i, `a turn of ${quote(String(from))}`, `one of "${expected}"`);
    const isMarked = value.includes(MARKER);
    if (isMarked && i > 0) return fault(i, `the marker ${MARKER}`, "it in the first turn only");
    if (isMarked && !withImage) return fault(i, `the marker ${MARKER} in a record without an image`, "an image");
    said.push(isMarked ? value.replaceAll(MARKED, "") : value);
  }
  if (said.length % 2 === 1) return fault(said.length - 1, "a question without an answer", 'a turn of "gpt" behind it');
  return { said };
}

const hasImage = (image: unknown): boolean =>
  (typeof image === "string" && image !== "") || (Array.isArray(image) && image.length > 0);
