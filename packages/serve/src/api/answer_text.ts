/** The text of an answer as its tokens come: never a broken character, never a piece of a stop text. */
import type { Tokenizer } from "@zerogate/data";

/** The text of tokens, token by token. */
export interface TokenReader {
  /** Returns what the token adds to the text; a character whose bytes are not all there comes with its last token. */
  push(id: number): string;
  /** Returns what is left of a character that never became whole. */
  end(): string;
}

/** An answer. */
export interface AnswerText {
  /** Returns what can be sent, and whether a stop text came. */
  push(id: number): { readonly text: string; readonly isStopped: boolean };
  /** Returns the rest. */
  end(): string;
}

/** A character whose bytes are not all there yet decodes to U+FFFD. */
const INCOMPLETE = "\uFFFD";
/** Tokens in front that decide how the next ones are written, such as a space. */
const WINDOW = 8;

/** @param before Tokens that the text continues. */
export function openTokenReader(tokenizer: Pick<Tokenizer, "decode">, before: readonly number[]): TokenReader {
  let window = before.slice(-WINDOW);
  let shown = tokenizer.decode(window);
  let added: number[] = [];
  const text = () => tokenizer.decode([...window, ...added]).slice(shown.length);
  return {
    push(id) {
      added.push(id);
      const more = text();
      if (more.endsWith(INCOMPLETE) && added.length < WINDOW) return "";
      window = [...window, ...added].slice(-WINDOW);
      added = [];
      shown = tokenizer.decode(window);
      return more;
    },
    end() {
      const more = added.length > 0 ? text() : "";
      added = [];
      return more;
    },
  };
}

/** @param stop Texts that end the answer. */
export function openAnswerText(reader: TokenReader, stop: readonly string[]): AnswerText {
  let held = "";
  let isOver = false;
  return {
    push(id) {
      if (isOver) return { text: "", isStopped: true };
      held += reader.push(id);
      const cut = firstOf(held, stop);
      isOver = cut >= 0;
      const safe = isOver ? cut : held.length - begunLength(held, stop);
      const text = held.slice(0, safe);
      held = held.slice(safe);
      return { text, isStopped: isOver };
    },
    end() {
      if (isOver) return "";
      isOver = true;
      const rest = held + reader.end();
      const cut = firstOf(rest, stop);
      return cut >= 0 ? rest.slice(0, cut) : rest;
    },
  };
}

function firstOf(text: string, stop: readonly string[]): number {
  const found = stop.map((one) => text.indexOf(one)).filter((at) => at >= 0);
  return found.length > 0 ? Math.min(...found) : -1;
}

/** How many characters at the end may begin a stop text. */
function begunLength(text: string, stop: readonly string[]): number {
  let begun = 0;
  for (const one of stop) {
    for (let n = Math.min(one.length - 1, text.length); n > begun; n--) if (text.endsWith(one.slice(0, n))) begun = n;
  }
  return begun;
}
