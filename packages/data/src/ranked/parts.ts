/** A tokenizer from byte pieces with ranks, and the settings beside them. */
import { addedTokens } from "../added_tokens.ts";
import type { AddedToken } from "../tokenizer_json.ts";
import { type Fail, idsAround, type TokenizerParts, type TokenizerSettings } from "../tokenizer_parts.ts";
import { knownModel } from "./known_models.ts";
import type { RankedPieces } from "./pieces.ts";
import { createRanked } from "./pipeline.ts";
import { parseTekken } from "./tekken_file.ts";
import { parseTiktoken } from "./tiktoken_file.ts";

interface Vocabulary {
  readonly pieces: RankedPieces;
  readonly expression: string;
  readonly firstId: number;
  readonly special: readonly AddedToken[];
  readonly bosToken?: string | undefined;
  readonly eosToken?: string | undefined;
}

/** @throws Error if the file is damaged or of no model that is known; what the settings get wrong is made by `fail`. */
export function tiktokenParts(
  file: { readonly name: string; readonly bytes: Uint8Array; readonly hasScaledRotation: boolean },
  settings: TokenizerSettings,
  fail: Fail,
): TokenizerParts {
  const pieces = parseTiktoken(file.bytes);
  const { special, ...model } = knownModel(file.name, pieces.length, file.hasScaledRotation);
  const known = special.map((content, i) => ({ id: pieces.length + i, content, special: true }));
  const named = addedTokens(settings, fail).filter(({ id }) => id >= pieces.length);
  return partsOf({ pieces, firstId: 0, ...model, special: named.length > 0 ? named : known }, settings);
}

/** @throws Error if the file is damaged. */
export function tekkenParts(file: Readonly<Record<string, unknown>>, settings: TokenizerSettings): TokenizerParts {
  const { pieces, expression, special } = parseTekken(file);
  const own = (name: string) => special.find(({ content }) => content === name)?.content;
  const ends = { bosToken: own("<s>"), eosToken: own("</s>") };
  return partsOf({ pieces, expression, firstId: special.length, special, ...ends }, settings);
}

function partsOf(vocabulary: Vocabulary, settings: TokenizerSettings): TokenizerParts {
  const { pieces, firstId, special: added, bosToken, eosToken, expression } = vocabulary;
  const ids = new Map(added.map(({ content, id }) => [content, id]));
  const around = idsAround(settings, (token) => ids.get(token), { bosToken, eosToken });
  const build = (tokens: readonly AddedToken[]) =>
    createRanked(pieces, { expression, firstId, added: tokens, ...around });
  const own = firstId + pieces.length;
  return {
    pipeline: build(added),
    withoutSpecial: (others) => build([...added.filter((token) => token.special !== true), ...others]),
    special: added.filter((token) => token.special === true),
    normalizesSpecial: false,
    vocabularySize: added.reduce((size, { id }) => Math.max(size, id + 1), own),
    pieces: own,
    bosToken,
    eosToken,
  };
}
