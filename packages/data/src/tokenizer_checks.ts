/**
 * A tokenizer.json is somebody else's file: its size, ids and regular expressions are checked before the library sees them.
 * What the library cannot do exactly is refused, since wrong token ids train a wrong model without a word.
 */

/** The largest in use (Gemma, 256,000 pieces) has 34 MB. */
export const MAX_TOKENIZER_BYTES = 100_000_000;
/** Four times the largest vocabulary in use; an id is an index into an array, so it must not be any number. */
const MAX_VOCABULARY = 1_048_576;
/** The longest in use (Llama 3, Qwen 2) has about 120 characters. */
const MAX_REGEX_CHARACTERS = 2_000;
/** Deeper than any real file: tokenizer.json nests sequences, not trees. */
const MAX_DEPTH = 64;
/** The library guesses where the type is another one. */
const MODEL_TYPES = ["BPE", "Unigram", "WordPiece"];

/** "a b" in older files, ["a", "b"] in newer ones. */
export type Merge = string | readonly [string, string];

export interface TokenizerJson {
  readonly model: {
    readonly type?: string;
    readonly vocab: Readonly<Record<string, number>> | readonly (readonly [string, number])[];
    readonly merges?: readonly Merge[];
    readonly [key: string]: unknown;
  };
  readonly added_tokens: readonly AddedToken[];
  readonly pre_tokenizer: unknown;
  readonly [key: string]: unknown;
}

export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special?: boolean;
}

/** Everything that is wrong with a parsed tokenizer.json, in words; empty if it can be used. */
export function findTokenizerProblems(json: unknown): string[] {
  if (!isObject(json)) return ["tokenizer.json is not an object, one with a model is needed"];
  const { model, added_tokens: added } = json;
  if (!isObject(model)) return ["tokenizer.json has no model, an object with type and vocab is needed"];
  const { type, vocab, merges } = model;
  const problems: string[] = [];
  if (!MODEL_TYPES.includes(type as string))
    problems.push(`model.type is ${JSON.stringify(type)}, one of ${MODEL_TYPES.join(", ")} is needed`);
  if (!isObject(vocab)) problems.push("model.vocab is missing, an object of ids or an array of pieces is needed");
  else problems.push(...findVocabularyProblems(vocab), ...findUnknownProblems(model, vocab));
  if (type === "BPE" && !(Array.isArray(merges) && merges.every(isMerge))) {
    problems.push('model.merges is not a list of pairs, ["a", "b"] or "a b" each is needed');
  }
  if (!Array.isArray(added)) problems.push("added_tokens is missing, an array is needed");
  else if (!added.every(isAddedToken)) {
    problems.push(`added_tokens holds a bad entry, {id, content} with an id below ${MAX_VOCABULARY} is needed`);
  }
  for (const part of ["normalizer", "pre_tokenizer", "post_processor", "decoder"]) {
    if (json[part] === undefined) problems.push(`${part} is missing, null or an object is needed`);
    else findPatternProblems(json[part], part, problems);
  }
  if (problems.length === 0) problems.push(...findPostProcessorProblems(json as TokenizerJson));
  return problems;
}

/** The piece that a merge makes. */
export function mergedPiece(merge: Merge): string {
  return typeof merge === "string" ? merge.replace(" ", "") : merge.join("");
}

/** One more than the largest id, added tokens included. */
export function countVocabulary({ model, added_tokens: added }: TokenizerJson): number {
  let largest = -1;
  if (Array.isArray(model.vocab)) largest = model.vocab.length - 1;
  else for (const id of Object.values(model.vocab as Record<string, number>)) largest = Math.max(largest, id);
  for (const { id } of added) largest = Math.max(largest, id);
  return largest + 1;
}

function findVocabularyProblems(vocab: object): string[] {
  if (Array.isArray(vocab)) {
    const isGood = vocab.length > 0 && vocab.length <= MAX_VOCABULARY && vocab.every(isPiece);
    return isGood ? [] : [`model.vocab is not a list of 1 to ${MAX_VOCABULARY} pieces, [text, score] each is needed`];
  }
  const ids = Object.values(vocab);
  if (ids.length === 0) return ["model.vocab is empty, at least one piece is needed"];
  const bad = Object.entries(vocab).find(([, id]) => !isId(id));
  if (bad)
    return [
      `model.vocab gives ${JSON.stringify(bad[0])} the id ${String(bad[1])}, an integer below ${MAX_VOCABULARY} is needed`,
    ];
  if (new Set(ids).size < ids.length)
    return ["model.vocab gives one id to two pieces, an id of its own for each is needed"];
  return [];
}

/** What stands for a character that no piece has: the `tokenizers` library fails where it needs a token that is not there. */
function findUnknownProblems(
  { type, unk_token: token, unk_id: id, byte_fallback: bytes }: Model,
  vocab: object,
): string[] {
  if (type === "Unigram") {
    if (bytes === true) return ["model.byte_fallback of a Unigram model cannot be done here"]; // the library forgets it
    const isPiece =
      Number.isInteger(id) && (id as number) >= 0 && Array.isArray(vocab) && (id as number) < vocab.length;
    return isPiece ? [] : [`model.unk_id is ${String(id)}, the number of a piece of model.vocab is needed`];
  }
  if (token === undefined || token === null) {
    return type === "WordPiece" ? ["model.unk_token is missing, a piece of model.vocab is needed"] : [];
  }
  if (typeof token === "string" && Object.hasOwn(vocab, token)) return [];
  return [`model.unk_token is ${JSON.stringify(token)}, which is not in model.vocab`];
}

/** What is put around a text. The library looks tokens up by their text, the file gives ids too, and both must agree. */
function findPostProcessorProblems({ model, added_tokens: added, post_processor: processor }: TokenizerJson): string[] {
  const idOf = (content: unknown): number | undefined =>
    added.find((token) => token.content === content)?.id ?? pieceId(model.vocab, content);
  const problems: string[] = [];
  for (const { type, single, special_tokens: tokens, cls, sep } of processorsIn(processor)) {
    if (type === "BertProcessing" || type === "RobertaProcessing") {
      for (const pair of [cls, sep]) {
        if (!Array.isArray(pair) || pair.length !== 2 || pair[1] === undefined || idOf(pair[0]) !== pair[1])
          problems.push(`post_processor names ${JSON.stringify(pair)}, [token, id] as in the vocabulary is needed`);
      }
    }
    if (type !== "TemplateProcessing") continue;
    if (!Array.isArray(single) || !single.some((item) => sequenceOf(item) === "A")) {
      problems.push('post_processor.single has no place for the text, {"Sequence": {"id": "A"}} is needed');
    } else {
      for (const item of single) {
        if (sequenceOf(item) === "A") continue;
        const token = isObject(item) && isObject(item["SpecialToken"]) ? item["SpecialToken"]["id"] : undefined;
        const entry = isObject(tokens) && typeof token === "string" ? tokens[token] : undefined;
        const ids = isObject(entry) ? entry["ids"] : undefined;
        if (!Array.isArray(ids) || ids.length !== 1 || ids[0] === undefined || ids[0] !== idOf(token))
          problems.push(
            `post_processor.single holds ${JSON.stringify(item)}, a token with the id of the vocabulary is needed`,
          );
      }
    }
  }
  return problems;
}

type Model = Readonly<Record<string, unknown>>;

/** A post-processor or those of a sequence, whose depth is checked. */
function processorsIn(processor: unknown): Record<string, unknown>[] {
  if (!isObject(processor)) return [];
  return Array.isArray(processor["processors"]) ? processor["processors"].flatMap(processorsIn) : [processor];
}

function sequenceOf(item: unknown): unknown {
  return isObject(item) && isObject(item["Sequence"]) ? item["Sequence"]["id"] : undefined;
}

function pieceId(vocab: TokenizerJson["model"]["vocab"], content: unknown): number | undefined {
  if (typeof content !== "string") return undefined;
  if (!Array.isArray(vocab))
    return Object.hasOwn(vocab, content) ? (vocab as Record<string, number>)[content] : undefined;
  const at = vocab.findIndex(([piece]) => piece === content);
  return at === -1 ? undefined : at;
}

/** Looks for regular expressions wherever a part of the pipeline may hold one. */
function findPatternProblems(part: unknown, path: string, problems: string[], depth = 0): void {
  if (typeof part !== "object" || part === null) return;
  if (depth > MAX_DEPTH) {
    problems.push(`${path} is nested more than ${MAX_DEPTH} deep`);
    return;
  }
  for (const [key, value] of Object.entries(part)) {
    // The library warns on the console and then splits or replaces nothing.
    if (
      key === "pattern" &&
      !(isObject(value) && ["String", "Regex"].some((kind) => typeof value[kind] === "string"))
    ) {
      problems.push(`${path}.pattern is neither {"String": …} nor {"Regex": …}, one of them is needed`);
    }
    if (key !== "Regex") findPatternProblems(value, `${path}.${key}`, problems, depth + 1);
    else if (typeof value !== "string") problems.push(`${path}.Regex is not a text`);
    else problems.push(...findRegexProblems(value).map((problem) => `${path}.Regex ${problem}`));
  }
}

/** `\G` and `&&` mean something in Oniguruma, where these expressions come from, that JavaScript has no word for. */
function findRegexProblems(regex: string): string[] {
  if (regex.length > MAX_REGEX_CHARACTERS)
    return [`has ${regex.length} characters, at most ${MAX_REGEX_CHARACTERS} are allowed`];
  const problems: string[] = [];
  let openSets = 0;
  for (const [token] of regex.matchAll(/\\.|&&|[[\]]/gs)) {
    if (token === "[") openSets++;
    else if (token === "]") openSets--;
    else if (token === "\\G") problems.push("uses \\G (end of the previous match), which cannot be done here");
    else if (token === "&&" && openSets > 0) problems.push("uses && (set intersection), which cannot be done here");
  }
  return problems;
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;
const isId = (value: unknown): boolean =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) < MAX_VOCABULARY;
const isMerge = (merge: unknown): boolean =>
  typeof merge === "string"
    ? merge.includes(" ")
    : Array.isArray(merge) && merge.length === 2 && merge.every((side) => typeof side === "string");
const isPiece = (piece: unknown): boolean =>
  Array.isArray(piece) && typeof piece[0] === "string" && Number.isFinite(piece[1]);
const isAddedToken = (token: unknown): boolean =>
  isObject(token) && isId(token["id"]) && typeof token["content"] === "string" && token["content"] !== "";
