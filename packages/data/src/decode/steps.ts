/**
 * Steps of a tokenizer.json's `decoder`, as the Rust library `tokenizers` has them, for tokens that come one by one. A step hands on
 * whole tokens, or, if no later step asks where tokens end (`isOpen`), parts of them as soon as they are certain.
 */
import type { Node } from "../pipeline/pre_tokenize.ts";
import { bytesOfLetters } from "./byte_letters.ts";
import { decodeByteByByte, decodeLossy, openUtf8Stream } from "./utf8_stream.ts";

/** A step while one text is decoded. */
export interface Step {
  /** Takes a token, and returns what goes to the next step. */
  push(token: string): readonly string[];
  /** Returns the rest. */
  end(): readonly string[];
}

/** Opens a step as the node says. */
type OpenStep = (node: Node, isOpen: boolean) => Step;

const some = (text: string): readonly string[] => (text === "" ? [] : [text]);
const text = (value: unknown, usual = ""): string => (typeof value === "string" ? value : usual);
const count = (value: unknown): number => (typeof value === "number" ? value : 0);

/** A step that changes each token by itself; `i` counts them. */
function each(change: (token: string, i: number) => string): Step {
  let i = 0;
  return { push: (token) => [change(token, i++)], end: () => [] };
}

/** Puts a space between tokens: what is done if a file has no decoder. */
export function openJoin(): Step {
  return each((token, i) => (i === 0 ? token : ` ${token}`));
}

const openByteLevel: OpenStep = (_, isOpen) => {
  const stream = openUtf8Stream(decodeLossy);
  const held: string[] = [];
  return {
    push(token) {
      const more = stream.push(bytesOfLetters(token));
      if (isOpen) return some(more);
      held.push(more);
      return [];
    },
    end: () => [held.join("") + stream.end()],
  };
};

/** Returns the byte that a token such as <0xE6> stands for. */
export function fallbackByte(token: string): number | undefined {
  const digits = /^<0x([0-9A-Fa-f]{2})>$/.exec(token)?.[1];
  return digits === undefined ? undefined : Number.parseInt(digits, 16);
}

/** Tokens that stand for bytes, such as <0xE6>, become the text of the bytes beside each other. */
const openByteFallback: OpenStep = (_, isOpen) => {
  const stream = openUtf8Stream(decodeByteByByte);
  let isRun = false;
  let held = "";
  const endRun = (): readonly string[] => {
    if (!isRun) return [];
    const run = held + stream.end();
    [isRun, held] = [false, ""];
    return isOpen ? some(run) : [run];
  };
  return {
    push(token) {
      const byte = fallbackByte(token);
      if (byte === undefined) return [...endRun(), token];
      isRun = true;
      const more = stream.push([byte]);
      if (isOpen) return some(more);
      held += more;
      return [];
    },
    end: endRun,
  };
};

const openFuse: OpenStep = (_, isOpen) => {
  if (isOpen) return each((token) => token);
  const held: string[] = [];
  return {
    push(token) {
      held.push(token);
      return [];
    },
    end: () => [held.join("")],
  };
};

/** Strips a character up to `start` times from the start of each token and `stop` times from its end; from a fused text in parts, at its start. */
const openStrip: OpenStep = ({ content, start, stop }, isOpen) => {
  const [character, first, last] = [text(content), count(start), count(stop)];
  if (!isOpen) return each((token) => stripped(token, character, first, last));
  let left = first;
  return {
    push(part) {
      const characters = Array.from(part);
      let begin = 0;
      while (left > 0 && begin < characters.length) {
        if (characters[begin] === character) [begin, left] = [begin + 1, left - 1];
        else left = 0;
      }
      return some(characters.slice(begin).join(""));
    },
    end: () => [],
  };
};

function stripped(token: string, character: string, first: number, last: number): string {
  const characters = Array.from(token);
  let [begin, end] = [0, characters.length];
  while (begin < Math.min(first, characters.length) && characters[begin] === character) begin++;
  while (characters.length - end < last && end > 0 && characters[end - 1] === character) end--;
  return characters.slice(begin, end).join("");
}

function replaced({ pattern, content }: Node, token: string): string {
  return token.split(text((pattern as Node | undefined)?.["String"])).join(text(content));
}

function spaced({ replacement }: Node, token: string, space: string): string {
  return token.split(text(replacement, "▁")).join(space);
}

function joined({ prefix }: Node, token: string): string {
  const mark = text(prefix, "##");
  return token.startsWith(mark) ? token.slice(mark.length) : ` ${token}`;
}

const openReplace: OpenStep = (node) => each((token) => replaced(node, token));

const openMetaspace: OpenStep = (node) => {
  const { prepend_scheme: scheme, add_prefix_space: prefixes } = node;
  const first = scheme === "never" || prefixes === false ? " " : "";
  return each((token, i) => spaced(node, token, i === 0 ? first : " "));
};

const openWordPiece: OpenStep = (node) =>
  each((token, i) => {
    const word = i === 0 ? token : joined(node, token);
    return node["cleanup"] === true ? cleaned(word) : word;
  });

/** What a step makes of a token behind others; undefined if that depends on them. */
export function textOfToken(node: Node): ((token: string) => string) | undefined {
  switch (node["type"]) {
    case "Replace":
      return (token) => replaced(node, token);
    case "Metaspace":
      return (token) => spaced(node, token, " ");
    case "WordPiece":
      return node["cleanup"] === true ? (token) => cleaned(joined(node, token)) : (token) => joined(node, token);
    default:
      return undefined;
  }
}

/** The end of a word becomes a space, but for the last word's: it waits until another token comes. */
const openBpe: OpenStep = ({ suffix }) => {
  const mark = text(suffix, "</w>");
  let waiting: string | undefined;
  const take = (space: string) => (waiting === undefined ? [] : [waiting.split(mark).join(space)]);
  return {
    push(token) {
      const before = take(" ");
      waiting = token.includes(mark) ? token : undefined;
      return waiting === undefined ? [...before, token] : before;
    },
    end: () => take(""),
  };
};

const openCtc: OpenStep = ({ pad_token: pad, word_delimiter_token: delimiter, cleanup }) => {
  let last: string | undefined;
  const without = text(pad, "<pad>");
  return {
    push(token) {
      if (token === last) return [];
      last = token;
      const kept = without === "" ? token : token.split(without).join("");
      return some(cleanup === true ? cleaned(kept).split(text(delimiter, "|")).join(" ") : kept);
    },
    end: () => [],
  };
};

/** Spaces in front of punctuation and of what English shortens, which go away. */
const CLEANED: readonly (readonly [string, string])[] = [
  [" .", "."],
  [" ?", "?"],
  [" !", "!"],
  [" ,", ","],
  [" ' ", "'"],
  [" n't", "n't"],
  [" 'm", "'m"],
  [" do not", " don't"],
  [" 's", "'s"],
  [" 've", "'ve"],
  [" 're", "'re"],
];

function cleaned(word: string): string {
  return CLEANED.reduce((changed, [from, to]) => changed.split(from).join(to), word);
}

/** By `type`. */
export const steps: ReadonlyMap<unknown, OpenStep> = new Map([
  ["ByteLevel", openByteLevel],
  ["ByteFallback", openByteFallback],
  ["Fuse", openFuse],
  ["Strip", openStrip],
  ["Replace", openReplace],
  ["Metaspace", openMetaspace],
  ["WordPiece", openWordPiece],
  ["BPEDecoder", openBpe],
  ["CTC", openCtc],
]);
