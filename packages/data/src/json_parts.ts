/** A tokenizer from a tokenizer.json, checked. */
import { createPipeline, type Pipeline } from "./pipeline/pipeline.ts";
import { completeTokenizer, countPieces, countVocabulary, findTokenizerProblems } from "./tokenizer_checks.ts";
import { type AddedToken, mergedPiece, type TokenizerJson } from "./tokenizer_json.ts";
import type { Fail, TokenizerParts } from "./tokenizer_parts.ts";

export function jsonParts(file: Readonly<Record<string, unknown>>, fail: Fail): TokenizerParts {
  const json = completeTokenizer(file) as unknown as TokenizerJson;
  const problems = findTokenizerProblems(json);
  if (problems.length > 0) throw fail(problems);
  const build = (pipelineJson: TokenizerJson): Pipeline => {
    try {
      return createPipeline(pipelineJson);
    } catch (cause) {
      throw fail(`tokenizer.json asks for what cannot be done here: ${(cause as Error).message}`, cause);
    }
  };
  const special = json.added_tokens.filter((token) => token.special === true);
  return {
    pipeline: build(json),
    withoutSpecial: (others) => build(withOthers(forgetSpecialTokens(json, special), others)),
    special,
    normalizesSpecial: json.normalizer !== null && special.some(({ normalized }) => normalized === true),
    vocabularySize: countVocabulary(json),
    pieces: countPieces(json),
  };
}

const withOthers = (json: TokenizerJson, others: readonly AddedToken[]): TokenizerJson => ({
  ...json,
  added_tokens: [...json.added_tokens, ...others],
});

/** Stands for the text of a special token: no text holds it. */
const hidden = (content: string) => `\u{10FFFF}${content}`;

/** The same tokenizer as one that never saw its special tokens: no text can become one of them. */
function forgetSpecialTokens(json: TokenizerJson, special: readonly AddedToken[]): TokenizerJson {
  const contents = new Set(special.map(({ content }) => content));
  const { merges, vocab, unk_token: unknown } = json.model;
  const name = (piece: string) => (contents.has(piece) ? hidden(piece) : piece);
  const model = {
    ...json.model,
    vocab: Array.isArray(vocab)
      ? vocab.map(([piece, score]) => [name(piece), score] as const)
      : Object.fromEntries(Object.entries(vocab).map(([piece, id]) => [name(piece), id as number])),
    ...(merges && { merges: merges.filter((merge) => !contents.has(mergedPiece(merge))) }),
    ...(typeof unknown === "string" && { unk_token: name(unknown) }),
  };
  return { ...json, model, added_tokens: json.added_tokens.filter((token) => !special.includes(token)) };
}
