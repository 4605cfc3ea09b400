/**
 * Finds what the assistant says in a rendered chat: every turn with the token that ends it, and nothing else. A template marks it
 * by `{% generation %}`; if it does not, the chat is rendered up to each turn and behind it.
 */

import type { TurnRule } from "@zerogate/core";
import { BEGIN, type CompiledTemplate, END, type RenderMessages } from "./jinja.ts";
import type { ChatMessage, DataRecord } from "./record.ts";
import type { Span, SpecialTokens } from "./special_tokens.ts";

/** A chat as text. */
export interface RenderedChat {
  /**
   * With `isMarked` only special tokens behind U+10FFFF are some: the record spells a special token, which is text. Otherwise all
   * of them are.
   */
  readonly text: string;
  readonly isMarked: boolean;
  /** What is trained, ascending. */
  readonly spans: readonly Span[];
  /** The text of the token that ends the last turn. */
  readonly end: string;
}

/** How chats are rendered. */
export interface RenderRules {
  readonly turns: TurnRule;
  readonly special: SpecialTokens;
}

/** Says why a template shows not what to train: no matter of one chat. */
export class TemplateFault extends Error {}

/** @throws TemplateFault if the template cannot be trained on, another error if it cannot write this chat. */
export function renderChat(compiled: CompiledTemplate, rules: RenderRules, record: DataRecord): RenderedChat {
  const { special } = rules;
  const { messages, tools, isBroken } = special.brokenIn(record);
  const { text, spans } = compiled.marked
    ? markedSpans(compiled, messages, tools, rules)
    : prefixSpans(compiled, messages, tools, rules);
  if (spans.length === 0) throw new Error("it marks nothing that the assistant says");
  let end = "";
  const ended = spans.map((span): Span => {
    const closed = special.closed(text, span);
    if (closed === undefined)
      throw new TemplateFault(
        `${NO_END}, which every turn of the assistant needs: a model trained on it would never stop; --template zephyr ends turns with the tokenizer's end of text`,
      );
    end = closed.token;
    return closed.span;
  });
  return { ...(isBroken ? special.marked(text, ended) : { text, spans: ended }), isMarked: isBroken, end };
}

/** Renders messages with the beginning of an answer behind them. */
export function renderQuestion(
  { plain }: CompiledTemplate,
  { special }: RenderRules,
  record: DataRecord,
): RenderedChat {
  const { messages, tools, isBroken } = special.brokenIn(record);
  const text = plain(messages, tools, true);
  return { text: isBroken ? special.marked(text, []).text : text, isMarked: isBroken, spans: [], end: "" };
}

const NO_END = "it writes no special token behind what the assistant says";

interface Spans {
  readonly text: string;
  readonly spans: readonly Span[];
}

type Tools = readonly unknown[] | undefined;

function markedSpans(
  { plain, marked = plain }: CompiledTemplate,
  messages: readonly ChatMessage[],
  tools: Tools,
  { turns }: RenderRules,
): Spans {
  const spans: Span[] = [];
  let text = "";
  let begin: number | undefined;
  for (const piece of marked(messages, tools, false).split(/([\uFDD0\uFDD1])/)) {
    if (piece === BEGIN) begin = text.length;
    else if (piece !== END) text += piece;
    else if (begin !== undefined) {
      if (text.length > begin) spans.push([begin, text.length]);
      begin = undefined;
    }
  }
  if (text !== plain(messages, tools, false)) throw new TemplateFault("{% generation %} changes what it writes");
  return { text, spans: turns === "last" ? spans.slice(-1) : spans };
}

function prefixSpans(
  { plain }: CompiledTemplate,
  messages: readonly ChatMessage[],
  tools: Tools,
  { turns, special }: RenderRules,
): Spans {
  const text = plain(messages, tools, false);
  const turnsOfAssistant = [...messages.entries()].flatMap(([i, { role }]) => (role === "assistant" ? [i] : []));
  const chosen = turns === "last" ? turnsOfAssistant.slice(-1) : turnsOfAssistant;
  const spans = chosen.map((i): Span => {
    const front = plain(messages.slice(0, i), tools, true);
    const isLast = i === messages.length - 1;
    const upTo = isLast ? text : plain(messages.slice(0, i + 1), tools, false);
    const followed = isLast ? followedBy(plain, messages, tools) : undefined;
    const end = text.startsWith(front)
      ? ((followed !== undefined ? special.commonEnd(followed, upTo, front.length) : undefined) ??
        special.commonEnd(text, upTo, front.length))
      : undefined;
    if (end !== undefined) return [front.length, end];
    const isEarlier = turns === "all" && i !== turnsOfAssistant.at(-1);
    throw new TemplateFault(differenceOf(i, text, text.startsWith(front) ? upTo : front, isEarlier));
  });
  return { text, spans };
}

/** Says where the beginning of a chat is written otherwise than in the whole of it. */
function differenceOf(turn: number, text: string, beginning: string, isEarlier: boolean): string {
  let at = 0;
  while (at < beginning.length && beginning[at] === text[at]) at++;
  const shown = (whole: string) => JSON.stringify(whole.slice(Math.max(0, at - 20), at + 20));
  const advice = isEarlier
    ? "train the last turn of each chat (--turns last)"
    : "use a template with {% generation %}, or one that begins answers as it writes them (--template zephyr)";
  return `it writes turn ${turn} otherwise when it is the last one (${shown(beginning)}, in the whole chat ${shown(text)}), so nothing shows what to train: ${advice}`;
}

/** The chat with another question behind it: what ends its last turn in both is no end of the whole text. */
function followedBy(plain: RenderMessages, messages: readonly ChatMessage[], tools: Tools): string | undefined {
  try {
    return plain([...messages, { role: "user", content: "A" }], tools, false);
  } catch {
    return undefined; // templates may refuse a question there
  }
}
