/** A tokenizer from a SentencePiece model and the settings beside it. */
import { addedTokens } from "../added_tokens.ts";
import type { Pipeline } from "../pipeline/pipeline.ts";
import type { AddedToken } from "../tokenizer_json.ts";
import { type Fail, idsAround, type TokenizerParts, type TokenizerSettings } from "../tokenizer_parts.ts";
import type { SentencePieceModel } from "./model.ts";
import { createSentencePiece } from "./pipeline.ts";

/** Special are the model's control pieces and its unknown one, and tokens that the settings call special. */
export function sentencePieceParts(model: SentencePieceModel, settings: TokenizerSettings, fail: Fail): TokenizerParts {
  const { pieces } = model;
  const reserved = pieces.flatMap(({ text, type }, id): AddedToken[] =>
    type === "control" || type === "unknown" ? [{ id, content: text, special: true }] : [],
  );
  const configured = addedTokens(settings, fail);
  checkTokens(model, configured, fail);
  const all = [...new Map([...reserved, ...configured].map((token) => [token.id, token])).values()];
  // Pieces that a user defined are found by the model itself.
  const added = all.filter(({ id, special }) => special === true || pieces[id]?.type !== "user-defined");
  const special = added.filter((token) => token.special === true);
  const ids = new Map([...pieces.map(({ text }, id) => [text, id] as const), ...added.map(idEntry)]);
  const ends = { bosToken: controlPiece(model, model.bosPiece), eosToken: controlPiece(model, model.eosPiece) };
  const around = idsAround(settings, (token) => ids.get(token), ends);
  const build = (built: SentencePieceModel, tokens: readonly AddedToken[]): Pipeline => {
    try {
      const prefixesFirstOnly = settings.config["legacy"] === false;
      return createSentencePiece(built, { added: tokens, ...around, prefixesFirstOnly });
    } catch (cause) {
      throw fail(`its SentencePiece model is damaged: ${(cause as Error).message}`, cause);
    }
  };
  return {
    pipeline: build(model, added),
    withoutSpecial: (others) =>
      build(withoutPieces(model, special), [...added.filter((token) => token.special !== true), ...others]),
    special,
    normalizesSpecial: false,
    vocabularySize: added.reduce((size, { id }) => Math.max(size, id + 1), pieces.length),
    pieces: pieces.length,
    ...ends,
  };
}

const idEntry = ({ content, id }: AddedToken) => [content, id] as const;

function controlPiece({ pieces }: SentencePieceModel, name: string): string | undefined {
  return pieces.find(({ text, type }) => text === name && type === "control")?.text;
}

/** The settings number tokens as the model does, or behind its pieces. */
function checkTokens({ pieces }: SentencePieceModel, tokens: readonly AddedToken[], fail: Fail): void {
  const ids = new Map(pieces.map(({ text }, id) => [text, id]));
  for (const { id, content } of tokens) {
    const piece = pieces[id]?.text;
    const known = ids.get(content);
    if (piece === content || (piece === undefined && known === undefined)) continue;
    const found = piece === undefined ? `has it as ${known}` : `has ${JSON.stringify(piece)} there`;
    throw fail(
      `${JSON.stringify(content)} is added as token ${id}, the model ${found}: use the files of one tokenizer`,
    );
  }
}

/** The same model as one that finds none of these pieces in a text. */
function withoutPieces(model: SentencePieceModel, tokens: readonly AddedToken[]): SentencePieceModel {
  const hidden = new Set(tokens.map(({ id }) => id));
  const pieces = model.pieces.map((piece, id) =>
    hidden.has(id) && piece.type !== "unknown" ? { ...piece, type: "control" as const } : piece,
  );
  return { ...model, pieces };
}
