/**
 * Chats: `messages` of role and content, ShareGPT's `conversations` of from and value, `prompt` with `completion`. What a message
 * holds besides, such as tool calls, is left to the chat template.
 */
import { type InstructionRecord, isObject } from "../record.ts";
import { quote, type RecordFault } from "../record_problems.ts";

/** One message of a chat, as chat templates take it: role, content, and whatever else the record gives it. */
export interface ChatMessage {
  readonly role: string;
  readonly content: string;
  readonly [field: string]: unknown;
}

/** One chat. */
export interface ChatRecord {
  readonly messages: readonly ChatMessage[];
  /** The tools that the assistant may call, as the template takes them. */
  readonly tools?: readonly unknown[] | undefined;
}

/** A record as it is read: an instruction with its answer, or a chat. */
export type DataRecord = InstructionRecord | ChatRecord;

/** Whether a record is a chat. */
export const isChat = (record: DataRecord): record is ChatRecord => "messages" in record;

const roles = ["system", "developer", "user", "assistant", "tool"];
/** The names that ShareGPT and its relatives give to roles. */
const otherRoles: Readonly<Record<string, string>> = {
  human: "user",
  user: "user",
  gpt: "assistant",
  chatgpt: "assistant",
  bot: "assistant",
  model: "assistant",
  assistant: "assistant",
  system: "system",
  tool: "tool",
  observation: "tool",
};
const MAX_MESSAGES = 1000;
const MAX_CHARACTERS = 1_000_000;
/** With the u flag a pair counts as the character that it encodes. */
const LONE_SURROGATE = /\p{Surrogate}/u;
/** Characters that Unicode keeps for the inside of programs: labels and marks of a rendered text are made of them. */
const NONCHARACTER = /[\uFDD0-\uFDEF]|\u{10FFFF}/u;

/** The fields of which a chat is made. */
export const chatFields: readonly string[] = ["messages", "conversations", "prompt", "completion", "tools"];

type Parsed = { readonly record: ChatRecord } | { readonly fault: RecordFault };

/** Reads a chat; undefined if the item has none of the fields that make one. */
export function parseChat(item: unknown): Parsed | undefined {
  if (!isObject(item)) return undefined;
  const { messages, conversations, prompt, completion } = item;
  const turns =
    messages !== undefined
      ? turnsOf("messages", messages)
      : conversations !== undefined
        ? turnsOf("conversations", conversations)
        : prompt !== undefined && completion !== undefined
          ? promptTurns(prompt, completion)
          : undefined;
  if (turns === undefined) return undefined;
  if ("fault" in turns) return turns;
  const tools = toolsOf(item["tools"]);
  if (tools && "fault" in tools) return tools;
  const record = { messages: turns, ...(tools && { tools: tools.list }) };
  const fault = faultOf(turns, record);
  return fault ? { fault } : { record };
}

/** The messages of any record: those of a chat, or the question and answer of an instruction. */
export function messagesOf(record: DataRecord): readonly ChatMessage[] {
  if (isChat(record)) return record.messages;
  return [askedMessage(record), { role: "assistant", content: record.output }];
}

/** An instruction as a message: its input follows after an empty line. */
export function askedMessage({ instruction, input }: Pick<InstructionRecord, "instruction" | "input">): ChatMessage {
  return { role: "user", content: input === "" ? instruction : `${instruction}\n\n${input}` };
}

type Fault = { readonly fault: RecordFault };

function turnsOf(field: string, turns: unknown): readonly ChatMessage[] | Fault {
  if (!Array.isArray(turns)) return { fault: { field, found: kindOf(turns), expected: "a list of messages" } };
  if (turns.length === 0) return { fault: { field, found: "an empty list", expected: "at least one message" } };
  if (turns.length > MAX_MESSAGES)
    return { fault: { field, kind: "long", found: `${turns.length} messages`, expected: `at most ${MAX_MESSAGES}` } };
  const messages: ChatMessage[] = [];
  for (const [i, turn] of turns.entries()) {
    const message = messageOf(`${field}[${i}]`, turn);
    if ("fault" in message) return message as Fault;
    messages.push(message);
  }
  return messages;
}

/** A prompt and its completion: texts, or messages. */
function promptTurns(prompt: unknown, completion: unknown): readonly ChatMessage[] | Fault {
  const part = (field: string, value: unknown, role: string) =>
    typeof value === "string" ? turnsOf(field, [{ role, content: value }]) : turnsOf(field, value);
  const asked = part("prompt", prompt, "user");
  if ("fault" in asked) return asked;
  const said = part("completion", completion, "assistant");
  return "fault" in said ? said : [...asked, ...said];
}

function messageOf(field: string, turn: unknown): ChatMessage | Fault {
  if (!isObject(turn)) return { fault: { field, found: kindOf(turn), expected: "an object with role and content" } };
  const { role, from, content, value, ...others } = turn;
  const isShareGpt = role === undefined && from !== undefined;
  const [name, said] = isShareGpt ? [from, value] : [role, content];
  const mapped = typeof name === "string" ? (isShareGpt ? otherRoles[name.toLowerCase()] : name) : undefined;
  if (mapped === undefined || !roles.includes(mapped)) {
    const known = isShareGpt ? Object.keys(otherRoles) : roles;
    const at = `${field}.${isShareGpt ? "from" : "role"}`;
    const found = typeof name === "string" ? `the unknown role ${quote(name)}` : kindOf(name);
    return { fault: { field: at, found, expected: `one of ${known.join(", ")}` } };
  }
  const text = textOf(`${field}.${isShareGpt ? "value" : "content"}`, said, mapped, others);
  if (typeof text !== "string") return text;
  return { role: mapped, content: text, ...others };
}

/** The text of a message: its own, or that of its parts. An assistant that only calls tools says nothing. */
function textOf(
  field: string,
  said: unknown,
  role: string,
  { tool_calls: calls }: Readonly<Record<string, unknown>>,
): string | Fault {
  if (typeof said === "string") {
    if (said.trim() === "" && role === "user")
      return { fault: { field, kind: "blank", found: "an empty text", expected: "a text that is not empty" } };
    return said;
  }
  if (said === undefined || said === null) {
    if (role === "assistant" && Array.isArray(calls) && calls.length > 0) return "";
    return { fault: { field, found: kindOf(said), expected: "a text" } };
  }
  if (!Array.isArray(said)) return { fault: { field, found: kindOf(said), expected: "a text" } };
  const texts: string[] = [];
  for (const [i, part] of said.entries()) {
    const text: unknown = isObject(part) && (part["type"] ?? "text") === "text" ? part["text"] : undefined;
    if (typeof text !== "string") {
      const found =
        isObject(part) && typeof part["type"] === "string" ? `a part of type ${quote(part["type"])}` : kindOf(part);
      return { fault: { field: `${field}[${i}]`, found, expected: "a part that is text" } };
    }
    texts.push(text);
  }
  return texts.join("");
}

/** Tools are a list, or the JSON of one where a table has no lists. */
function toolsOf(value: unknown): { readonly list: readonly unknown[] } | Fault | undefined {
  if (value === undefined || value === null || value === "") return undefined;
  let list = value;
  if (typeof value === "string") {
    try {
      list = JSON.parse(value);
    } catch {
      return {
        fault: { field: "tools", kind: "not JSON", found: quote(value), expected: "a list of tools, or its JSON" },
      };
    }
  }
  if (!Array.isArray(list)) return { fault: { field: "tools", found: kindOf(list), expected: "a list of tools" } };
  return list.length === 0 ? undefined : { list };
}

/** What is wrong with a chat as a whole. */
function faultOf(messages: readonly ChatMessage[], record: ChatRecord): RecordFault | undefined {
  if (!messages.some(({ role }) => role === "assistant"))
    return { found: "no turn of the assistant", expected: "at least one: nothing could be learned" };
  const text = JSON.stringify(record);
  const field = "messages";
  if (text.length > MAX_CHARACTERS)
    return { field, kind: "long", found: `${text.length} characters`, expected: `at most ${MAX_CHARACTERS}` };
  for (const { content } of messages) {
    if (LONE_SURROGATE.test(content))
      return { field, found: "half of a surrogate pair (\\ud800 … \\udfff)", expected: "whole characters" };
  }
  if (NONCHARACTER.test(text)) return { field, found: "a noncharacter (U+FDD0 … U+FDEF, U+10FFFF)", expected: "text" };
  return undefined;
}

function kindOf(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (typeof value === "string") return `the text ${quote(value)}`;
  return Array.isArray(value) ? "an array" : `a value of type ${typeof value}`;
}
