/** From tokens that are generated to text as it arrives. */
import type { FinishReason } from "./text.ts";
import { type Decoder, openTextStream, type StreamOptions } from "./text_stream.ts";

/**
 * Yields text increments; joined they are the text of all ids, cut before the first stop string. Leaving the loop early ends the
 * generation.
 *
 * @example
 * const ids = generate(model, adapter, promptIds, { maxNewTokens: 64 });
 * for await (const text of streamText(ids, tokenizer, { prefix: promptIds, stop: ["###"] })) process.stdout.write(text);
 */
export async function* streamText(
  tokens: AsyncGenerator<number, FinishReason, void>,
  decoder: Decoder,
  options: StreamOptions = {},
): AsyncGenerator<string, { finishReason: FinishReason; ids: number[]; text: string }, void> {
  const ids: number[] = [];
  const stream = openTextStream(decoder, options);
  let text = "";
  try {
    for (;;) {
      const next = await tokens.next();
      if (!next.done) ids.push(next.value);
      const part = next.done ? stream.end() : stream.push(next.value);
      text += part.text;
      if (part.text !== "") yield part.text;
      if (part.isStopped) return { finishReason: "stop", ids, text };
      if (next.done) return { finishReason: next.value, ids, text };
    }
  } finally {
    await tokens.return("stop");
  }
}
