/** Log-probabilities in the two forms of the API. The number of a token is the same one in each place that it stands in. */
import type { TokenScore, TokenScores } from "@zerogate/core";
import type { Tokenizer } from "@zerogate/data";
import type { AnsweredToken } from "./answer.ts";

/** Of a text completion: an entry for each token, the first of an echoed prompt null. */
export interface CompletionLogprobs {
  readonly tokens: string[];
  readonly token_logprobs: (number | null)[];
  readonly top_logprobs: (Record<string, number> | null)[];
  readonly text_offset: number[];
}

/** A token of a chat's answer. */
export interface ChatLogprob {
  readonly token: string;
  readonly logprob: number;
  readonly bytes: readonly number[] | null;
  readonly top_logprobs?: readonly ChatLogprob[];
}

type Words = Pick<Tokenizer, "decode">;

/** @param offset Of the first token in the text of the choice. */
export function completionLogprobs(words: Words, tokens: readonly AnsweredToken[], offset: number): CompletionLogprobs {
  let at = offset;
  const found: CompletionLogprobs = { tokens: [], token_logprobs: [], top_logprobs: [], text_offset: [] };
  for (const { text, scores } of tokens) {
    found.tokens.push(text);
    found.token_logprobs.push(scores?.logProbability ?? null);
    found.top_logprobs.push(scores ? topByText(words, text, scores) : null);
    found.text_offset.push(at);
    at += text.length;
  }
  return found;
}

/** The most likely tokens and the one that was chosen, by their texts; of two with one text the second is named by its id. */
function topByText(words: Words, text: string, { id, logProbability, top }: TokenScores): Record<string, number> {
  const entries = new Map<string, number>([[text, logProbability]]);
  for (const other of top) {
    if (other.id === id) continue;
    const own = textOf(words, other.id);
    entries.set(entries.has(own) ? `token_id:${other.id}` : own, other.logProbability);
  }
  return Object.fromEntries(entries);
}

/** @param count Of the most likely tokens that come along. */
export function chatLogprob(words: Words, { text, scores }: AnsweredToken, count: number): ChatLogprob | undefined {
  if (!scores) return undefined;
  const { id, logProbability, top } = scores;
  const entry = (token: string, score: number) => ({ token, logprob: score, bytes: bytesOf(token) });
  const shown = top.slice(0, count).map((other: TokenScore) => {
    return entry(other.id === id ? text : textOf(words, other.id), other.logProbability);
  });
  return { ...entry(text, logProbability), top_logprobs: shown };
}

/** The text of a token by itself; of one that the tokenizer has not, its number. */
function textOf(words: Words, id: number): string {
  try {
    return words.decode([id], { keepSpecialTokens: true });
  } catch (error) {
    if (error instanceof RangeError) return `token_id:${id}`;
    throw error;
  }
}

const bytesOf = (text: string): readonly number[] | null => (text === "" ? null : [...Buffer.from(text)]);
