/** The special tokens of a tokenizer, as texts spell them: those of a template end turns, those of a record are text. */
import { BREAK } from "./jinja.ts";
import { type ChatMessage, type DataRecord, isChat, messagesOf } from "./record.ts";

/** From one character to before another. */
export type Span = readonly [begin: number, end: number];

/** Messages and tools whose special tokens are broken, so that a template's own are the only ones. */
interface BrokenRecord {
  readonly messages: readonly ChatMessage[];
  readonly tools: readonly unknown[] | undefined;
  /** Whether there was one. */
  readonly isBroken: boolean;
}

/** Stands in front of the template's own special tokens where the record spells some, too. */
const MARK = "\u{10FFFF}";

/** Finds special tokens in rendered texts. */
export interface SpecialTokens {
  /** Puts a break into every special token that a record spells. */
  brokenIn(record: DataRecord): BrokenRecord;
  /** The span with the token that ends it, which may follow directly behind it; undefined if none does. */
  closed(text: string, span: Span): { readonly span: Span; readonly token: string } | undefined;
  /**
   * Where a turn ends that both texts begin with, its end token included; undefined if they differ before. What the shorter
   * one has behind it may be another end of the chat.
   */
  commonEnd(text: string, upTo: string, begin: number): number | undefined;
  /** Marks the template's special tokens of a text whose record was broken; spans move with it. */
  marked(text: string, spans: readonly Span[]): { readonly text: string; readonly spans: readonly Span[] };
}

/** Looks for tokens with these texts. */
export function createSpecialTokens(tokens: readonly string[]): SpecialTokens {
  const longest = tokens.filter((token) => token !== "").toSorted((a, b) => b.length - a.length);
  const any = longest.length === 0 ? "(?!)" : longest.map(escaped).join("|");
  const here = new RegExp(any, "uy");
  const all = new RegExp(any, "gu");
  /** Nothing but tokens and blanks. */
  const only = new RegExp(`^(?:\\s|${any})*$`, "u");
  const anywhere = new RegExp(`(?=(?:${any}))([^])`, "gu");

  const endOf = (text: string): string | undefined => {
    const trimmed = text.trimEnd();
    return longest.find((token) => trimmed.endsWith(token)) ?? longest.find((token) => text.endsWith(token));
  };
  return {
    brokenIn(record) {
      let isBroken = false;
      const broken = (value: unknown): unknown => {
        if (typeof value === "string") {
          const text = value.replace(anywhere, `$1${BREAK}`);
          isBroken ||= text !== value;
          return text;
        }
        if (Array.isArray(value)) return value.map(broken);
        if (typeof value !== "object" || value === null) return value;
        return Object.fromEntries(Object.entries(value).map(([key, item]) => [broken(key), broken(item)]));
      };
      const messages = broken(messagesOf(record)) as readonly ChatMessage[];
      const tools = isChat(record) ? (broken(record.tools) as BrokenRecord["tools"]) : undefined;
      return { messages, tools, isBroken };
    },
    closed(text, [begin, end]) {
      const own = endOf(text.slice(begin, end));
      if (own !== undefined) return { span: [begin, end], token: own };
      here.lastIndex = end;
      const next = here.exec(text)?.[0];
      return next === undefined ? undefined : { span: [begin, end + next.length], token: next };
    },
    commonEnd(text, upTo, begin) {
      let same = 0;
      while (same < upTo.length && upTo[same] === text[same]) same++;
      const token = [...text.slice(begin, same).matchAll(all)].at(-1);
      if (token) {
        const stop = begin + token.index + token[0].length;
        return only.test(upTo.slice(stop)) ? stop : undefined;
      }
      return same === upTo.length && same > begin ? same : undefined;
    },
    marked(text, spans) {
      const cuts = [...new Set([0, ...spans.flat(), text.length])].toSorted((a, b) => a - b);
      const moved = new Map<number, number>([[0, 0]]);
      let made = "";
      for (const [i, cut] of cuts.slice(1).entries()) {
        made += text.slice(cuts[i], cut).replace(anywhere, `${MARK}$1`).replaceAll(BREAK, "");
        moved.set(cut, made.length);
      }
      const place = (at: number) => moved.get(at) ?? 0;
      return { text: made, spans: spans.map(([from, to]): Span => [place(from), place(to)]) };
    },
  };
}

const escaped = (token: string): string => token.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
