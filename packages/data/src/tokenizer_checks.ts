/**
 * A tokenizer.json is somebody else's file: its size, ids and regular expressions are checked before the library sees them.
 * What the library cannot do exactly is refused, since wrong token ids train a wrong model silently.
 */
import { findPartProblems } from "./part_checks.ts";
import type { TokenizerJson } from "./tokenizer_json.ts";

/** The largest in use (Gemma, 256,000 pieces) has 34 MB. */
export const MAX_TOKENIZER_BYTES = 100_000_000;
/** Four times the largest vocabulary in use; an id is an index into an array, so it must not be any number. */
const MAX_VOCABULARY = 1_048_576;
const MODEL_TYPES = ["BPE", "Unigram", "WordPiece"];

/**
 * The file with what the Rust library takes if a key is absent: no part, and the kind of model that the other keys show, as in
 * the files of GPT-2.
 */
export function completeTokenizer(json: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const { model, added_tokens = [], normalizer, pre_tokenizer, post_processor, decoder } = json;
  const parts = { normalizer, pre_tokenizer, post_processor, decoder };
  const present = Object.fromEntries(Object.entries(parts).map(([name, part]) => [name, part ?? null]));
  return { ...json, ...present, added_tokens, model: isObject(model) ? { ...model, type: modelType(model) } : model };
}

/** The Rust library tries BPE, WordPiece, WordLevel, Unigram in this order. */
function modelType({ type, vocab, merges, ...others }: Model): unknown {
  if (type !== undefined) return type;
  if (Array.isArray(vocab)) return "Unigram";
  if (Array.isArray(merges)) return "BPE";
  return "max_input_chars_per_word" in others && "continuing_subword_prefix" in others ? "WordPiece" : undefined;
}

/** Everything that is wrong with a parsed and completed tokenizer.json, in words; empty if it can be used. */
export function findTokenizerProblems(json: unknown): string[] {
  if (!isObject(json)) return ["tokenizer.json is not an object, one with a model is needed"];
  const { model, added_tokens: added } = json;
  if (!isObject(model)) return ["tokenizer.json has no model, an object with type and vocab is needed"];
  const { type, vocab, merges } = model;
  const problems: string[] = [];
  if (!MODEL_TYPES.includes(type as string))
    problems.push(
      `model.type is ${type === undefined ? "missing" : JSON.stringify(type)}, one of ${MODEL_TYPES.join(", ")} is needed`,
    );
  if (!isObject(vocab)) problems.push("model.vocab is missing, an object of ids or an array of pieces is needed");
  else problems.push(...findVocabularyProblems(vocab), ...findModelProblems(model, vocab));
  if (type === "BPE" && !(Array.isArray(merges) && merges.every(isMerge))) {
    problems.push('model.merges is not a list of pairs, ["a", "b"] or "a b" each is needed');
  }
  if (!Array.isArray(added)) problems.push("added_tokens is missing, an array is needed");
  else if (!added.every(isAddedToken)) {
    problems.push(`added_tokens holds a bad entry, {id, content} with an id below ${MAX_VOCABULARY} is needed`);
  }
  problems.push(...findPartProblems(json));
  if (problems.length === 0)
    problems.push(...findMergeProblems(json as TokenizerJson), ...findIdProblems(json as TokenizerJson));
  if (problems.length === 0) problems.push(...findPostProcessorProblems(json as TokenizerJson));
  return problems;
}

/** One more than the largest id, added tokens included. */
export function countVocabulary(json: TokenizerJson): number {
  return json.added_tokens.reduce((size, { id }) => Math.max(size, id + 1), countPieces(json));
}

/** One more than the largest id of the model's own pieces. */
export function countPieces({ model: { vocab } }: TokenizerJson): number {
  if (Array.isArray(vocab)) return vocab.length;
  return Object.values(vocab as Record<string, number>).reduce((size, id) => Math.max(size, id + 1), 0);
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

/** What the library does otherwise than Rust's, or cannot do. */
function findModelProblems(model: Model, vocab: object): string[] {
  const {
    type,
    unk_id: id,
    byte_fallback: bytes,
    dropout,
    continuing_subword_prefix: prefix,
    unk_token: token,
  } = model;
  const { end_of_word_suffix: suffix } = model;
  if (Array.isArray(vocab) !== (type === "Unigram"))
    return [
      `model.vocab is ${Array.isArray(vocab) ? "a list" : "an object"}, which a model of type ${String(type)} has not`,
    ];
  if (type === "Unigram") {
    if (bytes === true) return ["model.byte_fallback of a Unigram model cannot be done here"]; // the library forgets it
    const isPiece = Number.isInteger(id) && (id as number) >= 0 && (id as number) < (vocab as unknown[]).length;
    if (isPiece || id === null || id === undefined) return [];
    return [`model.unk_id is ${JSON.stringify(id)}, the number of a piece of model.vocab is needed`];
  }
  if (type === "WordPiece") return typeof token === "string" ? [] : ["model.unk_token is missing, a text is needed"];
  const problems: string[] = [];
  if (typeof dropout === "number" && dropout > 0)
    problems.push(`model.dropout is ${dropout}, which makes ids a matter of chance`);
  if (typeof prefix === "string" && prefix !== "")
    problems.push(`model.continuing_subword_prefix is ${JSON.stringify(prefix)}, which cannot be done here for BPE`);
  if (typeof suffix === "string" && suffix !== "" && typeof token !== "string")
    problems.push("model.end_of_word_suffix without an unk_token cannot be done here");
  return problems;
}

/** The Rust library refuses merges of pieces that are not there. */
function findMergeProblems({ model }: TokenizerJson): string[] {
  const { type, vocab, merges } = model;
  if (type !== "BPE" || Array.isArray(vocab)) return [];
  for (const merge of merges ?? []) {
    const sides = typeof merge === "string" ? merge.split(" ") : merge;
    const missing = [...sides, sides.join("")].find((piece) => !Object.hasOwn(vocab, piece));
    if (sides.length !== 2 || missing !== undefined)
      return [`model.merges holds ${JSON.stringify(merge)}, and model.vocab lacks ${JSON.stringify(missing ?? merge)}`];
  }
  return [];
}

/** The Rust library numbers added tokens itself and ignores the file's numbers: those that are no pieces from the vocabulary's size on. */
function findIdProblems({ model, added_tokens: added }: TokenizerJson): string[] {
  const { vocab } = model;
  const ids = new Map(
    Array.isArray(vocab) ? vocab.map(([piece], id) => [piece as string, id] as const) : Object.entries(vocab),
  );
  const { size } = ids;
  let largest = 0;
  for (const { id, content } of added) {
    const numbered = ids.get(content) ?? (largest < size ? size : largest + 1);
    if (numbered !== id)
      return [
        `added_tokens gives ${JSON.stringify(content)} the id ${id}, its place gives it ${numbered}: both must agree`,
      ];
    ids.set(content, id);
    largest = Math.max(largest, id);
  }
  return [];
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

/** A post-processor or those of a sequence. */
function processorsIn(processor: unknown): Record<string, unknown>[] {
  if (!isObject(processor)) return [];
  return Array.isArray(processor["processors"])
    ? processor["processors"].flatMap((step) => processorsIn(step))
    : [processor];
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
