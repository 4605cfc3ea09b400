/**
 * Finds what the assistant says in a rendered chat: every turn with the token that ends it, and nothing else. A template marks it
 * by `{% generation %}`; if it does not, the chat is rendered up to each turn and behind it.
 */

import type { TurnRule } from "@zerogate/core";
import { BEGIN, BREAK, type CompiledTemplate, END, type RenderMessages } from "./jinja.ts";
import { type ChatMessage, type DataRecord, isChat, messagesOf } from "./record.ts";

/** From one character to before another. */
export type Span = readonly [begin: number, end: number];

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
  /** Texts of the special tokens. */
  readonly specialTokens: readonly string[];
}

const MARK = "\u{10FFFF}";

/** @throws Error that says why the template cannot be trained on, or with this chat. */
export function renderChat(compiled: CompiledTemplate, rules: RenderRules, record: DataRecord): RenderedChat {
  const special = new SpecialTokens(rules.specialTokens);
  const { messages, tools } = special.brokenIn(record);
  const { text, spans } = compiled.marked
    ? markedSpans(compiled, messages, tools, rules)
    : prefixSpans(compiled, messages, tools, rules, special);
  if (spans.length === 0) throw new Error("it marks nothing that the assistant says");
  let end = "";
  const ended = spans.map((span): Span => {
    const closed = special.closed(text, span);
    if (closed === undefined)
      throw new Error(`${NO_END}, which every turn of the assistant needs: a model trained on it would never stop`);
    end = closed.token;
    return closed.span;
  });
  return special.marked({ text, spans: ended, end });
}

/** Renders messages with the beginning of an answer behind them. */
export function renderQuestion(
  { plain }: CompiledTemplate,
  { specialTokens }: RenderRules,
  record: DataRecord,
): RenderedChat {
  const special = new SpecialTokens(specialTokens);
  const { messages, tools } = special.brokenIn(record);
  return special.marked({ text: plain(messages, tools, true), spans: [], end: "" });
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
  if (text !== plain(messages, tools, false)) throw new Error("{% generation %} changes what it writes");
  return { text, spans: turns === "last" ? spans.slice(-1) : spans };
}

function prefixSpans(
  { plain }: CompiledTemplate,
  messages: readonly ChatMessage[],
  tools: Tools,
  { turns }: RenderRules,
  special: SpecialTokens,
): Spans {
  const text = plain(messages, tools, false);
  const turnsOfAssistant = [...messages.entries()].flatMap(([i, { role }]) => (role === "assistant" ? [i] : []));
  const chosen = turns === "last" ? turnsOfAssistant.slice(-1) : turnsOfAssistant;
  const spans: Span[] = [];
  for (const i of chosen) {
    const front = plain(messages.slice(0, i), tools, true);
    const upTo = plain(messages.slice(0, i + 1), tools, false);
    const isLast = i === messages.length - 1;
    const followed = isLast ? followedBy(plain, messages, tools) : undefined;
    const end = text.startsWith(front)
      ? ((followed !== undefined ? special.commonEnd(followed, upTo, front.length) : undefined) ??
        special.commonEnd(text, upTo, front.length))
      : undefined;
    if (end === undefined) {
      const advice =
        turns === "all" && i !== turnsOfAssistant.at(-1)
          ? "train the last turn of each chat (--turns last)"
          : "use a template with {% generation %}";
      throw new Error(
        `it writes turn ${i} otherwise when it is the last one, so nothing shows what to train: ${advice}`,
      );
    }
    spans.push([front.length, end]);
  }
  return { text, spans };
}

/** The chat with another question behind it: what ends its last turn in both is no end of the whole text. */
function followedBy(plain: RenderMessages, messages: readonly ChatMessage[], tools: Tools): string | undefined {
  try {
    return plain([...messages, { role: "user", content: "A" }], tools, false);
  } catch {
    return undefined; // templates may refuse a question there
  }
}

/** The special tokens of a tokenizer, as texts spell them. */
class SpecialTokens {
  readonly #one: RegExp;
  /** A token, then blanks, then nothing. */
  readonly #last: RegExp;
  /** Nothing but tokens and blanks. */
  readonly #only: RegExp;
  readonly #anywhere: RegExp;
  readonly #all: RegExp;
  #isBroken = false;

  constructor(tokens: readonly string[]) {
    const escaped = tokens
      .filter((token) => token !== "")
      .toSorted((a, b) => b.length - a.length)
      .map((token) => token.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"));
    const any = escaped.length === 0 ? "(?!)" : escaped.join("|");
    this.#one = new RegExp(`^(?:${any})`, "u");
    this.#last = new RegExp(`(${any})\\s*$`, "u");
    this.#only = new RegExp(`^(?:\\s|${any})*$`, "u");
    this.#all = new RegExp(any, "gu");
    this.#anywhere = new RegExp(`(?=(?:${any}))([^])`, "gu");
  }

  /** The messages and tools with a break in every special token that they spell. */
  brokenIn(record: DataRecord): { readonly messages: readonly ChatMessage[]; readonly tools: Tools } {
    const messages = this.#broken(messagesOf(record)) as readonly ChatMessage[];
    return { messages, tools: isChat(record) ? (this.#broken(record.tools) as Tools) : undefined };
  }

  #broken(value: unknown): unknown {
    if (typeof value === "string") {
      const broken = value.replace(this.#anywhere, `$1${BREAK}`);
      this.#isBroken ||= broken !== value;
      return broken;
    }
    if (Array.isArray(value)) return value.map((item) => this.#broken(item));
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [this.#broken(key), this.#broken(item)]));
  }

  /** The span with the token that ends it, which may follow directly behind it. */
  closed(text: string, [begin, end]: Span): { readonly span: Span; readonly token: string } | undefined {
    const own = this.#last.exec(text.slice(begin, end))?.[1];
    if (own !== undefined) return { span: [begin, end], token: own };
    const next = this.#one.exec(text.slice(end))?.[0];
    return next === undefined ? undefined : { span: [begin, end + next.length], token: next };
  }

  /**
   * Where a turn ends that both texts begin with, its end token included; undefined if they differ before. What the shorter
   * one has behind it may be another end of the chat.
   */
  commonEnd(text: string, upTo: string, begin: number): number | undefined {
    let same = 0;
    while (same < upTo.length && upTo[same] === text[same]) same++;
    const token = [...text.slice(begin, same).matchAll(this.#all)].at(-1);
    if (token) {
      const stop = begin + token.index + token[0].length;
      return this.#only.test(upTo.slice(stop)) ? stop : undefined;
    }
    return same === upTo.length && same > begin ? same : undefined;
  }

  /** Marks the template's special tokens, if the record spells some of its own. */
  marked({ text, spans, end }: Spans & { readonly end: string }): RenderedChat {
    if (!this.#isBroken) return { text, isMarked: false, spans, end };
    const cuts = [...new Set([0, ...spans.flat(), text.length])].toSorted((a, b) => a - b);
    const moved = new Map<number, number>([[0, 0]]);
    let made = "";
    for (const [i, cut] of cuts.slice(1).entries()) {
      made += text.slice(cuts[i], cut).replace(this.#anywhere, `${MARK}$1`).replaceAll(BREAK, "");
      moved.set(cut, made.length);
    }
    const place = (at: number) => moved.get(at) ?? 0;
    return { text: made, isMarked: true, spans: spans.map(([from, to]): Span => [place(from), place(to)]), end };
  }
}
