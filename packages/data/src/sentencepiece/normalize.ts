/** A text as a SentencePiece model was taught to see it: `Normalizer::Normalize` of SentencePiece 0.2. */
import { readCharsmap } from "./charsmap.ts";
import { type NormalizerSettings, SPACE_PIECE } from "./model.ts";
import type { PrefixFinder } from "./prefixes.ts";

/** `takesPrefix`: whether the model's dummy prefix is added, if it has one. */
export type TextNormalizer = (text: string, takesPrefix: boolean) => string;

/**
 * @param userDefined Finds pieces that stay as they are, whatever the rules say.
 * @throws Error if the rules are damaged.
 */
export function createTextNormalizer(settings: NormalizerSettings, userDefined: PrefixFinder): TextNormalizer {
  const {
    charsmap,
    addDummyPrefix,
    removeExtraWhitespaces: isTrimmed,
    escapeWhitespaces,
    whitespaceAsSuffix,
  } = settings;
  const rules = charsmap && readCharsmap(charsmap);
  const space = escapeWhitespaces ? SPACE_PIECE : " ";
  const [front, back] = whitespaceAsSuffix ? ["", space] : [space, ""];

  /** What stands for the text at `at`, and how much of it. */
  const next = (text: string, at: number): readonly [read: string, length: number] => {
    const kept = userDefined(text, at);
    if (kept > 0) return [text.slice(at, at + kept), kept];
    const rule = rules?.(text, at);
    if (rule) return [rule.content, rule.length];
    const character = String.fromCodePoint(text.codePointAt(at) ?? 0);
    return [character, character.length];
  };
  return (input, takesPrefix) => {
    const [begin, end] = addDummyPrefix && takesPrefix ? [front, back] : ["", ""];
    const text = input.replace(/\p{Surrogate}/gu, "\ufffd"); // half of a character is none
    if (text === "") return "";
    if (!rules && !isTrimmed) return begin + text.replaceAll(" ", space) + end;
    let at = 0;
    for (let hasSpace = isTrimmed; hasSpace && at < text.length; ) {
      const [read, length] = next(text, at);
      hasSpace = read === " ";
      if (hasSpace) at += length;
    }
    if (at === text.length) return "";
    let normal = "";
    let isBehindSpace = isTrimmed;
    while (at < text.length) {
      const [read, length] = next(text, at);
      const kept = isBehindSpace ? read.replace(/^ +/, "") : read;
      if (kept !== "") {
        normal += kept.replaceAll(" ", space);
        isBehindSpace = isTrimmed && kept.endsWith(" ");
      }
      at += length;
    }
    return (isTrimmed ? withoutEnd(begin + normal, space) : begin + normal) + end;
  };
}

/** Takes away a character that the text ends with, however often. */
function withoutEnd(text: string, ending: string): string {
  let end = text.length;
  while (text[end - 1] === ending) end--;
  return text.slice(0, end);
}
