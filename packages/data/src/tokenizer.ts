/** Token ids from text and back: `@huggingface/tokenizers` behind checks, with the few choices that training has to pin down. */
import { createHash } from "node:crypto";
import { type BosRule, InputError } from "@zerogate/core";
import { checkNesting, describeFile, isCutOff } from "@zerogate/core/formats";
import { folderFile, readRegularFile } from "@zerogate/core/node";
import { createPipeline, type Pipeline } from "./pipeline/pipeline.ts";
import {
  completeTokenizer,
  countPieces,
  countVocabulary,
  findTokenizerProblems,
  MAX_TOKENIZER_BYTES,
} from "./tokenizer_checks.ts";
import { type AddedToken, mergedPiece, type TokenizerJson } from "./tokenizer_json.ts";

/** The files as on disk: a worker thread needs them to build the same tokenizer. */
export interface TokenizerFiles {
  /** Where they came from, for messages. */
  readonly directory: string;
  readonly tokenizerJson: string;
  /** Empty objects if the files are absent. */
  readonly tokenizerConfigJson: string;
  readonly specialTokensMapJson: string;
  /** Of config.json or generation_config.json: the end of text if the files above name none, as GPT-2's. */
  readonly modelEosId?: number | undefined;
  /** How many ids the model has embeddings for; a text that needs another one is refused. */
  readonly modelVocabSize?: number | undefined;
}

/** What is done with special tokens. */
export interface EncodeOptions {
  /** What the tokenizer's own post-processor adds, for LLaMA a BOS in front. @default true */
  readonly addSpecialTokens?: boolean;
  /** A special token spelled out in the text, such as "</s>", stays ordinary text. @default false */
  readonly specialTokensAsText?: boolean;
}

/** A model's tokenizer, with the ids of the Rust library `tokenizers`. */
export interface Tokenizer {
  /** SHA-256 over the files that were read, hexadecimal. */
  readonly hash: string;
  readonly files: TokenizerFiles;
  /** The `bos_token` that is named; undefined for tokenizers that have none, such as Qwen's. */
  readonly bosId: number | undefined;
  readonly eosId: number;
  /** What goes in front of a text: what tokenizer.json's post-processor puts there, or by the rule "named" the BOS. @default "tokenizer" */
  frontIds(rule?: BosRule): readonly number[];
  /** One more than the largest id. */
  readonly vocabularySize: number;
  /** The same without added tokens that are no pieces of the model. */
  readonly pieces: number;
  /** Returns the ids of a text. */
  encode(text: string, options?: EncodeOptions): number[];
  /** Special tokens are left out unless `keepSpecialTokens`. @throws RangeError for an id that is not in the vocabulary. */
  decode(ids: readonly number[], options?: { readonly keepSpecialTokens?: boolean }): string;
  /** Whether the text spells a special token. */
  holdsSpecialToken(text: string): boolean;
}

/**
 * Loads tokenizer.json, tokenizer_config.json and special_tokens_map.json from a model folder; the last two may be absent.
 * `model` is the base that the tokenizer is for: it limits the ids, and names the end of text if the files do not.
 * @throws InputError if a file cannot be read or used, naming what is wrong.
 */
export async function loadTokenizer(
  directory: string,
  model: { readonly vocabSize?: number; readonly eosTokenIds?: readonly number[] } = {},
): Promise<Tokenizer> {
  const attempt = `Cannot load the tokenizer from ${directory}`;
  const read = async (name: string, fallback?: string): Promise<string> => {
    const file = await folderFile(directory, name);
    if (file === undefined) {
      if (fallback !== undefined) return fallback;
      throw new InputError(
        attempt,
        `${name}: there is no such file, a tokenizer in Hugging Face's format is needed: copy it from where the model came from`,
      );
    }
    if (file.bytes > MAX_TOKENIZER_BYTES) {
      throw new InputError(attempt, `${name}: ${file.bytes} bytes, at most ${MAX_TOKENIZER_BYTES} are allowed`);
    }
    try {
      const bytes = await readRegularFile(file.path, MAX_TOKENIZER_BYTES);
      const other = describeFile(bytes, bytes.length, "text");
      if (other) throw new Error(other.problem);
      return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    } catch (cause) {
      throw new InputError(attempt, `${name}: ${(cause as Error).message}`, { cause });
    }
  };
  return createTokenizer({
    directory,
    tokenizerJson: await read("tokenizer.json"),
    tokenizerConfigJson: await read("tokenizer_config.json", "{}"),
    specialTokensMapJson: await read("special_tokens_map.json", "{}"),
    modelEosId: model.eosTokenIds?.[0],
    modelVocabSize: model.vocabSize,
  });
}

/** The same from the files' text. @throws InputError as `loadTokenizer` does. */
export function createTokenizer(files: TokenizerFiles): Tokenizer {
  const fail = (problems: string | string[], cause?: unknown): InputError =>
    new InputError(`Cannot load the tokenizer from ${files.directory}`, problems, { cause });
  const json = completeTokenizer(parse(files.tokenizerJson, "tokenizer.json", fail)) as unknown as TokenizerJson;
  const config = parse(files.tokenizerConfigJson, "tokenizer_config.json", fail);
  const map = parse(files.specialTokensMapJson, "special_tokens_map.json", fail);
  const problems = findTokenizerProblems(json);
  if (problems.length > 0) throw fail(problems);

  const build = (pipelineJson: TokenizerJson): Pipeline => {
    try {
      return createPipeline(pipelineJson);
    } catch (cause) {
      throw fail(`tokenizer.json asks for what cannot be done here: ${(cause as Error).message}`, cause);
    }
  };
  const pipeline = build(json);
  let withoutSpecial: Pipeline | undefined; // built when first needed: hardly any text spells a special token

  const special = json.added_tokens.filter((token) => token.special === true);
  const specialIds = new Set(special.map(({ id }) => id));
  const idOf = (name: "bos_token" | "eos_token"): number | undefined => {
    const content = tokenText(config[name]) ?? tokenText(map[name]);
    const id = content === undefined ? undefined : pipeline.idOf(content);
    if (content !== undefined && id === undefined)
      throw fail(`${name} is ${JSON.stringify(content)}, which is not in the vocabulary`);
    return id;
  };
  const eosId = idOf("eos_token") ?? files.modelEosId;
  if (eosId === undefined)
    throw fail(
      "tokenizer_config.json, special_tokens_map.json, config.json and generation_config.json name no end of text: eos_token or eos_token_id is needed",
    );
  const limit = files.modelVocabSize ?? Number.POSITIVE_INFINITY;
  if (eosId >= limit || pipeline.tokenOf(eosId) === undefined)
    throw fail(`the end of text has the id ${eosId}, which is not in the vocabulary`);
  /** Refuses parts that no token stands for, and tokens that the model has no embedding for. */
  const checked = (ids: number[], text: string): number[] => {
    const bad = ids.find((id) => !(id < limit));
    if (bad === undefined) return ids;
    const shown = JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text);
    const beyond = `its token ${JSON.stringify(pipeline.tokenOf(bad))} has the id ${bad}, the largest of the model is ${limit - 1}`;
    const absent = `the tokenizer of ${files.directory} has no token for a part of it`;
    throw new InputError(`Cannot encode ${shown}`, Number.isNaN(bad) ? absent : beyond);
  };
  const bosId = idOf("bos_token");
  const front = { tokenizer: pipeline.front, named: bosId === undefined ? [] : [bosId] };
  const hasNormalized = json.normalizer !== null && special.some(({ normalized }) => normalized === true);
  const holdsSpecialToken = (text: string): boolean =>
    special.some(({ content }) => text.includes(content)) ||
    (hasNormalized && pipeline.addedIn(text).some(({ id }) => specialIds.has(id)));
  return {
    hash: hashFiles(files),
    files,
    bosId,
    eosId,
    frontIds: (rule = "tokenizer") => front[rule],
    vocabularySize: countVocabulary(json),
    pieces: countPieces(json),
    holdsSpecialToken,
    encode(text, { addSpecialTokens = true, specialTokensAsText = false } = {}) {
      const asText = specialTokensAsText && holdsSpecialToken(text);
      if (asText) withoutSpecial ??= build(forgetSpecialTokens(json, special));
      const ids = ((asText ? withoutSpecial : undefined) ?? pipeline).encode(text);
      return checked(addSpecialTokens ? [...pipeline.front, ...ids, ...pipeline.back] : ids, text);
    },
    decode(ids, { keepSpecialTokens = false } = {}) {
      const unknown = ids.find((id) => pipeline.tokenOf(id) === undefined);
      if (unknown !== undefined)
        throw new RangeError(`Cannot decode token ${unknown}: the vocabulary of ${files.directory} has no such id`);
      const kept = keepSpecialTokens ? [...ids] : ids.filter((id) => !specialIds.has(id));
      return kept.length === 0 ? "" : pipeline.decode(kept);
    },
  };
}

/**
 * Holds a tokenizer against a model's `vocab_size`. @returns a warning if the tokenizer is clearly smaller, or if added tokens of
 * it have no embedding: a text that needs one is refused then. Otherwise undefined.
 * @throws InputError if pieces of its own have no embedding: it belongs to another model.
 */
export function checkVocabulary(tokenizer: Tokenizer, modelVocabSize: number): string | undefined {
  const { vocabularySize: size, pieces, files } = tokenizer;
  const both = `the largest token id of ${files.directory} is ${size - 1}, the model's vocabulary has ${modelVocabSize}`;
  if (pieces > modelVocabSize) {
    throw new InputError(
      "Cannot use a tokenizer that does not match the vocabulary",
      `${both}: use the tokenizer of this model`,
    );
  }
  if (size > modelVocabSize) return `${both}: texts that hold one of the added tokens beyond it are refused`;
  return size < modelVocabSize / 2 ? `${both}: is this the tokenizer of this model?` : undefined;
}

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

function parse(
  text: string,
  name: string,
  fail: (problem: string, cause?: unknown) => InputError,
): Record<string, unknown> {
  let value: unknown;
  try {
    checkNesting(text);
    value = JSON.parse(text);
  } catch (cause) {
    const problem = isCutOff(text) ? "it ends in the middle: download or copy it again" : (cause as Error).message;
    throw fail(`${name} is not JSON (${problem})`, cause);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw fail(`${name} is not an object`);
  return value as Record<string, unknown>;
}

/** A token in a config file is its text or an object that holds it. */
function tokenText(token: unknown): string | undefined {
  const text = typeof token === "object" && token !== null && "content" in token ? token.content : token;
  return typeof text === "string" && text !== "" ? text : undefined;
}

function hashFiles(files: TokenizerFiles): string {
  const hash = createHash("sha256");
  for (const text of [files.tokenizerJson, files.tokenizerConfigJson, files.specialTokensMapJson]) {
    hash.update(`${text.length}\n`).update(text);
  }
  return hash.digest("hex");
}
