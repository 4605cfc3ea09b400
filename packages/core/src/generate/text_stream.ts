/** From token ids to text as they come: never a broken character, never a piece of a stop string; each token takes the same time. */

/** The text of tokens that come one by one. */
export interface Decoding {
  /** Takes a token, and returns the text that no further token can change: none while a character is not whole. */
  push(id: number): string;
  /** Returns the text of what is left. Nothing may follow. */
  end(): string;
}

/** What a tokenizer must offer here; those of `@zerogate/data` do. */
export interface Decoder {
  /** Opens the decoding of one text. */
  openDecoding(): Decoding;
}

/** Where a text begins and what ends it. */
export interface StreamOptions {
  /**
   * Ids that the text continues (the prompt): decoding behind them keeps the space that a sentencepiece decoder drops at the
   * start of a text.
   * @default none
   */
  readonly prefix?: readonly number[];
  /** Strings that end the text. @default none */
  readonly stop?: readonly string[];
}

/** Text that may be shown. */
export interface TextPart {
  readonly text: string;
  /** Whether the text ends with it, before a stop string. */
  readonly isStopped: boolean;
}

/** A text whose tokens come one by one. */
export interface TextStream {
  /** Takes a token. */
  push(id: number): TextPart;
  /** Says that no token follows, and returns the rest. */
  end(): TextPart;
}

/**
 * Opens a text. Its parts joined are the text of its ids behind the prefix, cut before the first stop string.
 *
 * @example
 * const decoder = { openDecoding: () => ({ push: (id: number) => String.fromCharCode(id), end: () => "" }) };
 * const stream = openTextStream(decoder, { stop: ["###"] });
 * stream.push(97).text; // "a"
 * stream.push(35).text; // "": it may begin the stop string
 * stream.end().text; // "#"
 */
export function openTextStream(decoder: Decoder, { prefix = [], stop = [] }: StreamOptions = {}): TextStream {
  const decoding = decoder.openDecoding();
  for (const id of prefix) decoding.push(id);
  let held = "";
  function take(more: string, isEnd: boolean): TextPart {
    const text = held + more;
    const cut = firstStop(text, stop);
    const end = cut ?? text.length - (isEnd ? 0 : begunStop(text, stop));
    held = text.slice(end);
    return { text: text.slice(0, end), isStopped: cut !== undefined };
  }
  return {
    push: (id) => take(decoding.push(id), false),
    end: () => take(decoding.end(), true),
  };
}

/** The first place of a stop string. */
function firstStop(text: string, stop: readonly string[]): number | undefined {
  const found = stop.map((s) => text.indexOf(s)).filter((at) => at >= 0);
  return found.length > 0 ? Math.min(...found) : undefined;
}

/** How many characters at the end begin a stop string. */
function begunStop(text: string, stop: readonly string[]): number {
  let begun = 0;
  for (const s of stop) {
    for (let n = Math.min(s.length - 1, text.length); n > begun; n--) if (text.endsWith(s.slice(0, n))) begun = n;
  }
  return begun;
}
