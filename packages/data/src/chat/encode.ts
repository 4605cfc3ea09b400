/** Rendered chats as token ids, with what the assistant says as targets. */
import type { ChatTemplate } from "@zerogate/core";
import type { EncodedSample, MaskRule } from "../sample.ts";
import type { Tokenizer } from "../tokenizer.ts";
import { type ChatRenderer, createRenderer } from "./renderer.ts";
import type { RenderedChat } from "./spans.ts";
import type { Span } from "./special_tokens.ts";

/** Renderers by template and tokenizer: each has a thread, which ends when it is not used. */
const renderers = new WeakMap<Tokenizer, Map<string, ChatRenderer>>();

/** The renderer of a template for a tokenizer. */
export function rendererOf(template: ChatTemplate, tokenizer: Tokenizer): ChatRenderer {
  const ofTokenizer = renderers.get(tokenizer) ?? new Map<string, ChatRenderer>();
  renderers.set(tokenizer, ofTokenizer);
  const key = JSON.stringify([template.chat, template.tokens, template.turns]);
  const renderer = ofTokenizer.get(key) ?? createRenderer(template, tokenizer.specialTokens);
  ofTokenizer.set(key, renderer);
  return renderer;
}

/**
 * The ids of a chat and its targets: the template writes all special tokens itself, so that nothing is put around it. Where a
 * token reaches over the beginning of a turn it belongs to the turn, over its end it does not. A chat that is too long is cut
 * behind the last turn that fits, or inside the first one.
 */
export function encodeChat(
  tokenizer: Tokenizer,
  { rule, maxLength }: { readonly rule: MaskRule; readonly maxLength: number },
  chat: RenderedChat,
): EncodedSample {
  const { ids, lengths } = tokenizer.encodeBeginnings(chat.text, chat.spans.flat(), optionsFor(chat));
  const spans = chat.spans.map((_, i): Span => [Math.max(1, lengths[2 * i] ?? 0), lengths[2 * i + 1] ?? 0]);
  const fitting = spans.findLast(([, end]) => end <= maxLength);
  const length = ids.length <= maxLength ? ids.length : (fitting?.[1] ?? maxLength);
  const firstTarget = rule === "all" ? 1 : (spans[0]?.[0] ?? ids.length);
  return {
    ids: ids.slice(0, length),
    firstTarget,
    ...(rule === "response" && { spans }),
    wholeLength: ids.length,
  };
}

/** The ids of a rendered text as it is. */
export function encodeRendered(tokenizer: Tokenizer, rendered: Pick<RenderedChat, "text" | "isMarked">): number[] {
  return tokenizer.encode(rendered.text, optionsFor(rendered));
}

const optionsFor = ({ isMarked }: Pick<RenderedChat, "isMarked">) => ({
  addSpecialTokens: false,
  onlyMarkedSpecialTokens: isMarked,
});
