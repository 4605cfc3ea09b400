/**
 * Pre-tokenizers: from a text to the words that the model sees one by one. Each is what the Rust library `tokenizers` 0.23 does;
 * the JavaScript one differs in Metaspace, Punctuation, Digits, Whitespace, Split and in what a space is.
 */

import { type Part, type SplitBehavior, splitPart } from "./cut_at_matches.ts";
import { ByteLevelPreTokenizer } from "./library.ts";
import { createMatcher, type Matcher, type Pattern } from "./patterns.ts";

export type PreTokenizer = (part: Part) => readonly Part[];

/** A node of tokenizer.json whose fields have been checked. */
export type Node = Readonly<Record<string, unknown>>;

const PUNCTUATION = /[\p{P}!-/:-@[-`{-~]/gu;
const SPACE = /\p{White_Space}/gu;
const NUMBER = /\p{N}/gu;
/** Runs of letters, marks, digits and joiners, and runs of what is neither such nor a space. */
const LETTERS = String.raw`\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}`;
const WORDS = new RegExp(`[${LETTERS}]+|[^${LETTERS}\\p{White_Space}]+`, "gu");
/** GPT-2's words. */
const BYTE_WORDS =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

const pick =
  (expression: RegExp): Matcher =>
  (text) =>
    Array.from(text.matchAll(expression), ({ 0: match, index }) => [index, index + match.length] as const);

const splitBy =
  (matcher: Matcher, behavior: SplitBehavior, isInverted = false): PreTokenizer =>
  (part) =>
    splitPart(part, matcher, behavior, isInverted);

const inTurn =
  (steps: readonly PreTokenizer[]): PreTokenizer =>
  (part) =>
    steps.reduce<readonly Part[]>((parts, step) => parts.flatMap(step), [part]);

/** All kinds that are known; `problem` names the others. */
export const preTokenizers: Readonly<Record<string, (node: Node) => PreTokenizer>> = {
  Sequence: ({ pretokenizers }) => inTurn((pretokenizers as readonly Node[]).map(createPreTokenizer)),
  Whitespace: () => splitBy(pick(WORDS), "Removed", true),
  WhitespaceSplit: () => splitBy(pick(SPACE), "Removed"),
  BertPreTokenizer: () => inTurn([splitBy(pick(SPACE), "Removed"), splitBy(pick(PUNCTUATION), "Isolated")]),
  Punctuation: ({ behavior = "Isolated" }) => splitBy(pick(PUNCTUATION), behavior as SplitBehavior),
  Digits: ({ individual_digits: isIndividual }) => splitBy(pick(NUMBER), isIndividual ? "Isolated" : "Contiguous"),
  CharDelimiterSplit: ({ delimiter }) => splitBy(createMatcher({ String: delimiter as string }), "Removed"),
  Split: ({ pattern, behavior = "Isolated", invert = false }) =>
    splitBy(createMatcher(pattern as Pattern), behavior as SplitBehavior, invert === true),
  FixedLength: ({ length = 5 }) => splitBy(pick(new RegExp(`[^]{1,${length as number}}`, "gu")), "Isolated"),
  Metaspace: createMetaspace,
  ByteLevel: createByteLevel,
};

/** `node` is of a type that is listed above, or null: then the whole text is one word. */
export function createPreTokenizer(node: Node | null): PreTokenizer {
  const create = node && preTokenizers[node["type"] as string];
  return create ? create(node) : (part) => [part];
}

/** Spaces become "▁", one goes in front, and by default the text is cut before each of them. */
function createMetaspace({ replacement = "▁", prepend_scheme: scheme = "always", split = true }: Node): PreTokenizer {
  const space = replacement as string;
  const cut = splitBy(createMatcher({ String: space }), "MergedWithNext");
  return ({ text, isFirst }) => {
    const replaced = text.replaceAll(" ", () => space);
    const goesInFront = (scheme === "always" || (scheme === "first" && isFirst)) && !replaced.startsWith(space);
    const part = { text: goesInFront ? space + replaced : replaced, isFirst };
    return split === false ? [part] : cut(part);
  };
}

/** Words of GPT-2, then each byte as a letter, which the library does. */
function createByteLevel({ add_prefix_space: hasPrefix = true, use_regex: hasWords = true }: Node): PreTokenizer {
  const cut = hasWords === false ? createPreTokenizer(null) : splitBy(pick(BYTE_WORDS), "Isolated");
  const bytes = new ByteLevelPreTokenizer({ use_regex: false });
  return ({ text, isFirst }) => {
    const begun = hasPrefix === true && !text.startsWith(" ") ? ` ${text}` : text;
    return cut({ text: begun, isFirst }).map((word) => ({
      ...word,
      text: bytes.pre_tokenize_text(word.text).join(""),
    }));
  };
}
