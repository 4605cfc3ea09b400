/** From token ids to text as it arrives: never a broken character, never a piece of a stop string. */
import type { FinishReason } from "./text.ts";

/** What a tokenizer must offer here; `@huggingface/tokenizers` does. */
export interface Decoder {
  /** Returns the text of tokens. */
  decode(ids: readonly number[]): string;
}

/** Where a text begins and what ends it. */
export interface StreamOptions {
  /**
   * Ids that the text continues (the prompt): decoding with them keeps the space that a sentencepiece decoder drops at the
   * start of a text.
   * @default none
   */
  readonly prefix?: readonly number[];
  /** Strings that end the text. @default none */
  readonly stop?: readonly string[];
}

/** A character whose bytes are not all there yet decodes to U+FFFD. */
const INCOMPLETE = "\uFFFD";

/**
 * Yields text increments; joined they are `decode(all ids)`, cut before the first stop string.
 *
 * @example
 * const ids = generate(model, adapter, promptIds, { maxNewTokens: 64 });
 * for await (const text of streamText(ids, tokenizer, { prefix: promptIds, stop: ["###"] })) process.stdout.write(text);
 */
export async function* streamText(
  tokens: AsyncGenerator<number, FinishReason, void>,
  decoder: Decoder,
  { prefix = [], stop = [] }: StreamOptions = {},
): AsyncGenerator<string, { finishReason: FinishReason; ids: number[]; text: string }, void> {
  const ids: number[] = [];
  const skip = decoder.decode(prefix).length;
  let sent = 0;
  let text = "";
  try {
    for (;;) {
      const next = await tokens.next();
      if (!next.done) ids.push(next.value);
      text = decoder.decode([...prefix, ...ids]).slice(skip);
      const cut = firstStop(text, stop);
      if (cut >= 0) {
        text = text.slice(0, cut);
        if (cut > sent) yield text.slice(sent);
        return { finishReason: "stop", ids, text };
      }
      const safe = next.done ? text.length : text.length - heldBack(text, stop);
      if (safe > sent) {
        yield text.slice(sent, safe);
        sent = safe;
      }
      if (next.done) return { finishReason: next.value, ids, text };
    }
  } finally {
    await tokens.return("stop");
  }
}

function firstStop(text: string, stop: readonly string[]): number {
  const found = stop.map((s) => text.indexOf(s)).filter((at) => at >= 0);
  return found.length > 0 ? Math.min(...found) : -1;
}

/** How many characters at the end may still change or may begin a stop string, whose next character may be incomplete. */
function heldBack(text: string, stop: readonly string[]): number {
  let incomplete = 0;
  while (text[text.length - 1 - incomplete] === INCOMPLETE) incomplete++;
  const whole = text.slice(0, text.length - incomplete);
  let begun = 0;
  for (const s of stop) {
    for (let n = Math.min(s.length - 1, whole.length); n > begun; n--) if (whole.endsWith(s.slice(0, n))) begun = n;
  }
  return incomplete + begun;
}
