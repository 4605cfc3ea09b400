/** The text of an answer as its tokens come. */
import { type Decoding, openTextStream, type TextPart } from "@zerogate/core";
import type { Tokenizer } from "@zerogate/data";

/** A text whose tokens come one by one. */
export interface AnswerText {
  /** Returns what the token adds to the text, and the part that can be sent. */
  push(id: number): TextPart & { readonly added: string };
  end(): TextPart;
}

/** Opens the text of tokens; one that the tokenizer has not, which models with padding may give, has none. */
export function openReading(tokenizer: Pick<Tokenizer, "openDecoding">, before: readonly number[]): Decoding {
  const decoding = tokenizer.openDecoding();
  const push = (id: number): string => {
    try {
      return decoding.push(id);
    } catch (error) {
      if (error instanceof RangeError) return "";
      throw error;
    }
  };
  for (const id of before) push(id);
  return { push, end: decoding.end };
}

/**
 * @param prompt Tokens that the answer continues.
 * @param stop Texts that end it, of which no piece is sent.
 */
export function openAnswerText(
  tokenizer: Pick<Tokenizer, "openDecoding">,
  prompt: readonly number[],
  stop: readonly string[],
): AnswerText {
  const reading = openReading(tokenizer, prompt);
  let added = "";
  const kept: Decoding = { push: (id) => (added = reading.push(id)), end: reading.end };
  const stream = openTextStream({ openDecoding: () => kept }, { stop });
  return { push: (id) => ({ ...stream.push(id), added }), end: stream.end };
}
