/** Normalizers: a text as the model was taught to see it. Each is what the Rust library `tokenizers` 0.23 does. */

import type { Part } from "./cut_at_matches.ts";
import { createMatcher, type Pattern } from "./patterns.ts";
import type { Node } from "./pre_tokenize.ts";

export type Normalizer = (part: Part) => Part;

const SPACES_BEFORE = /^\p{White_Space}+/gu;
const SPACE = /\p{White_Space}/u;
const MARK = /\p{M}/gu;
const NONSPACING_MARK = /\p{Mn}/gu;
/** Control, format and private characters, but for tab and line ends; and what stands for nothing. */
const UNWANTED = /(?![\t\n\r])[\p{Cc}\p{Cf}\p{Co}\0\uFFFD]/gu;
const CHINESE =
  /[\u{4E00}-\u{9FFF}\u{3400}-\u{4DBF}\u{20000}-\u{2A6DF}\u{2A700}-\u{2B73F}\u{2B740}-\u{2B81F}\u{2B920}-\u{2CEAF}\u{F900}-\u{FAFF}\u{2F800}-\u{2FA1F}]/gu;

/** A change of the text behind which its begin is still its begin. */
const change =
  (text: (before: string) => string): Normalizer =>
  (part) => ({ ...part, text: text(part.text) });

/** Takes matches away; if the first character goes, what is left begins later. */
const remove =
  (expression: RegExp): Normalizer =>
  ({ text, isFirst }) => ({
    text: text.replaceAll(expression, ""),
    isFirst: isFirst && text.search(expression) !== 0,
  });

const inTurn =
  (steps: readonly Normalizer[]): Normalizer =>
  (part) =>
    steps.reduce((before, step) => step(before), part);

/** Character by character: a sigma at the end of a word is a sigma like others. */
const lowercase = change((text) => Array.from(text, (character) => character.toLowerCase()).join(""));

/** A regular expression would look at each run of spaces again from each of them. */
function withoutEnd(text: string): string {
  let end = text.length;
  while (SPACE.test(text.charAt(end - 1))) end--;
  return text.slice(0, end);
}

/** All that are known. */
export const normalizers: Readonly<Record<string, (node: Node) => Normalizer>> = {
  Sequence: ({ normalizers: steps }) => inTurn((steps as readonly Node[]).map(createNormalizer)),
  NFC: () => change((text) => text.normalize("NFC")),
  NFD: () => change((text) => text.normalize("NFD")),
  NFKC: () => change((text) => text.normalize("NFKC")),
  NFKD: () => change((text) => text.normalize("NFKD")),
  Lowercase: () => lowercase,
  StripAccents: () => remove(MARK),
  Prepend: ({ prepend }) => change((text) => (text === "" ? "" : `${prepend as string}${text}`)),
  Strip({ strip_left: left, strip_right: right }) {
    return inTurn([...(left === true ? [remove(SPACES_BEFORE)] : []), ...(right === true ? [change(withoutEnd)] : [])]);
  },
  Replace({ pattern, content }) {
    const matcher = createMatcher(pattern as Pattern);
    return ({ text, isFirst }) => replace(text, isFirst, matcher(text), content as string);
  },
  BertNormalizer({ clean_text, handle_chinese_chars, strip_accents, lowercase: isLower }) {
    const isStripped = strip_accents ?? isLower;
    return inTurn([
      ...(clean_text === true ? [remove(UNWANTED), change((text) => text.replaceAll(/\p{White_Space}/gu, " "))] : []),
      ...(handle_chinese_chars === true ? [change((text) => text.replaceAll(CHINESE, " $& "))] : []),
      ...(isStripped === true ? [change((text) => text.normalize("NFD")), remove(NONSPACING_MARK)] : []),
      ...(isLower === true ? [lowercase] : []),
    ]);
  },
};

/** `node` is of a type that is listed above, or null: then texts stay unchanged. */
export function createNormalizer(node: Node | null): Normalizer {
  const create = node && normalizers[node["type"] as string];
  return create ? create(node) : (part) => part;
}

/** The content is taken as it is, without `$1`. */
function replace(
  text: string,
  isFirst: boolean,
  matches: readonly (readonly [number, number])[],
  content: string,
): Part {
  let replaced = "";
  let at = 0;
  for (const [begin, end] of matches) {
    replaced += text.slice(at, begin) + content;
    at = end;
  }
  const losesBegin = content === "" && matches[0]?.[0] === 0 && matches[0][1] > 0;
  return { text: replaced + text.slice(at), isFirst: isFirst && !losesBegin };
}
