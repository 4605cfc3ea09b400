/** Token ids from text and back: `@huggingface/tokenizers` behind checks, with the few choices that training has to pin down. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { Tokenizer as LibraryTokenizer } from "@huggingface/tokenizers";
import { type BosRule, checkNesting, InputError } from "@zerogate/core";
import { folderFile } from "@zerogate/core/node";
import { cutAtSpaces, keepWords } from "./space_cut.ts";
import {
  type AddedToken,
  countVocabulary,
  findTokenizerProblems,
  MAX_TOKENIZER_BYTES,
  mergedPiece,
  type TokenizerJson,
} from "./tokenizer_checks.ts";
import { findSlowText } from "./tokenizer_probe.ts";

/** What is used of the library; its own declarations do not resolve under nodenext and would be `any`. */
interface Pipeline {
  encode(text: string, options: { add_special_tokens: boolean }): { ids: number[]; tokens: string[] };
  decode(ids: number[], options: { clean_up_tokenization_spaces: boolean }): string;
  token_to_id(token: string): number | undefined;
  id_to_token(id: number): string | undefined;
  readonly post_processor: { post_process(tokens: string[]): { tokens: string[] } } | null;
}

/** The files as they are on disk: what a worker thread needs to build the same tokenizer. */
export interface TokenizerFiles {
  /** Where they came from, for messages. */
  readonly directory: string;
  readonly tokenizerJson: string;
  /** Empty objects where the files are absent. */
  readonly tokenizerConfigJson: string;
  readonly specialTokensMapJson: string;
}

export interface EncodeOptions {
  /** What the tokenizer's own post-processor adds, for LLaMA a BOS in front. @default true */
  readonly addSpecialTokens?: boolean;
  /** A special token spelled out in the text, such as "</s>", stays ordinary text. @default false */
  readonly specialTokensAsText?: boolean;
}

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
  encode(text: string, options?: EncodeOptions): number[];
  /** Special tokens are left out unless `keepSpecialTokens`. @throws RangeError for an id that is not in the vocabulary. */
  decode(ids: readonly number[], options?: { readonly keepSpecialTokens?: boolean }): string;
  /** Whether the text spells a special token. */
  holdsSpecialToken(text: string): boolean;
}

/**
 * Loads tokenizer.json, tokenizer_config.json and special_tokens_map.json from a model folder; the last two may be absent.
 * @throws InputError if a file cannot be read or used, naming what is wrong.
 */
export async function loadTokenizer(directory: string): Promise<Tokenizer> {
  const attempt = `Cannot load the tokenizer from ${directory}`;
  const read = async (name: string, fallback?: string): Promise<string> => {
    const file = await folderFile(directory, name);
    if (file === undefined) {
      if (fallback !== undefined) return fallback;
      throw new InputError(attempt, `${name}: there is no such file, a tokenizer in Hugging Face's format is needed`);
    }
    if (file.bytes > MAX_TOKENIZER_BYTES) {
      throw new InputError(attempt, `${name}: ${file.bytes} bytes, at most ${MAX_TOKENIZER_BYTES} are allowed`);
    }
    try {
      return new TextDecoder("utf-8", { fatal: true }).decode(await readFile(file.path));
    } catch (cause) {
      throw new InputError(attempt, `${name}: ${(cause as Error).message}`, { cause });
    }
  };
  return createTokenizer({
    directory,
    tokenizerJson: await read("tokenizer.json"),
    tokenizerConfigJson: await read("tokenizer_config.json", "{}"),
    specialTokensMapJson: await read("special_tokens_map.json", "{}"),
  });
}

/** The same from the files' text. @throws InputError as `loadTokenizer` does. */
export function createTokenizer(files: TokenizerFiles): Tokenizer {
  const fail = (problems: string | string[], cause?: unknown): InputError =>
    new InputError(`Cannot load the tokenizer from ${files.directory}`, problems, { cause });
  const json = parse(files.tokenizerJson, "tokenizer.json", fail) as unknown as TokenizerJson;
  const config = parse(files.tokenizerConfigJson, "tokenizer_config.json", fail);
  const map = parse(files.specialTokensMapJson, "special_tokens_map.json", fail);
  const problems = findTokenizerProblems(json);
  if (problems.length > 0) throw fail(problems);

  const build = (pipelineJson: TokenizerJson): Pipeline => {
    try {
      const library = new LibraryTokenizer(cutAtSpaces(pipelineJson), config);
      keepWords(library);
      return library;
    } catch (cause) {
      throw fail(`tokenizer.json asks for what cannot be done here: ${(cause as Error).message}`, cause);
    }
  };
  const pipeline = build(json);
  if (files.tokenizerJson.includes('"Regex"')) {
    const slow = findSlowText((text) => pipeline.encode(text, { add_special_tokens: false }));
    if (slow !== undefined)
      throw fail(`a regular expression of tokenizer.json takes seconds for a line of ${JSON.stringify(slow)}`);
  }
  let withoutSpecial: Pipeline | undefined; // built when first needed: hardly any text spells a special token

  const special = json.added_tokens.filter((token) => token.special === true);
  const specialIds = new Set(special.map(({ id }) => id));
  const idOfSpecial = new Map(special.map(({ content, id }) => [content, id]));
  const idOf = (name: "bos_token" | "eos_token"): number | undefined => {
    const content = tokenText(config[name]) ?? tokenText(map[name]);
    const id = content === undefined ? undefined : pipeline.token_to_id(content);
    if (content !== undefined && id === undefined)
      throw fail(`${name} is ${JSON.stringify(content)}, which is not in the vocabulary`);
    return id;
  };
  const eosId = idOf("eos_token");
  if (eosId === undefined)
    throw fail(
      "tokenizer_config.json and special_tokens_map.json name no eos_token, a token that ends a text is needed",
    );
  /** Where no piece fits and nothing stands for the unknown, the library gives no number. */
  const checked = (ids: number[], text: string): number[] => {
    if (ids.every(Number.isInteger)) return ids;
    const shown = JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text);
    throw new InputError(`Cannot encode ${shown}`, `the tokenizer of ${files.directory} has no token for a part of it`);
  };
  const bosId = idOf("bos_token");
  const front = { tokenizer: frontOf(pipeline), named: bosId === undefined ? [] : [bosId] };
  const holdsSpecialToken = (text: string): boolean => special.some(({ content }) => text.includes(content));
  return {
    hash: hashFiles(files),
    files,
    bosId,
    eosId,
    frontIds: (rule = "tokenizer") => front[rule],
    vocabularySize: countVocabulary(json),
    holdsSpecialToken,
    encode(text, { addSpecialTokens = true, specialTokensAsText = false } = {}) {
      const options = { add_special_tokens: addSpecialTokens };
      if (!specialTokensAsText || !holdsSpecialToken(text)) return checked(pipeline.encode(text, options).ids, text);
      withoutSpecial ??= build(forgetSpecialTokens(json, special));
      // What is put around the text is special all the same.
      const { ids, tokens } = withoutSpecial.encode(text, options);
      return checked(
        ids.map((id, i) => idOfSpecial.get(tokens[i] ?? "") ?? id),
        text,
      );
    },
    decode(ids, { keepSpecialTokens = false } = {}) {
      const unknown = ids.find((id) => pipeline.id_to_token(id) === undefined);
      if (unknown !== undefined)
        throw new RangeError(`Cannot decode token ${unknown}: the vocabulary of ${files.directory} has no such id`);
      const kept = keepSpecialTokens ? [...ids] : ids.filter((id) => !specialIds.has(id));
      // The library's clean-up of spaces is off: it would change text that the model wrote, and depends on what follows.
      return kept.length === 0 ? "" : pipeline.decode(kept, { clean_up_tokenization_spaces: false });
    },
  };
}

/**
 * Holds a tokenizer against a model's `vocab_size`. @returns a warning if the tokenizer is clearly smaller, else undefined.
 * @throws InputError if it has ids that the model has no embedding for: it belongs to another model.
 */
export function checkVocabulary(tokenizer: Tokenizer, modelVocabSize: number): string | undefined {
  const { vocabularySize: size, files } = tokenizer;
  const both = `the largest token id of ${files.directory} is ${size - 1}, the model's vocabulary has ${modelVocabSize}`;
  if (size > modelVocabSize) {
    throw new InputError(
      "Cannot use a tokenizer that does not match the vocabulary",
      `${both}: use the tokenizer of this model`,
    );
  }
  return size < modelVocabSize / 2 ? `${both}: is this the tokenizer of this model?` : undefined;
}

/** What the post-processor puts in front of a single text. */
function frontOf(pipeline: Pipeline): number[] {
  const text = "";
  const tokens = pipeline.post_processor?.post_process([text]).tokens ?? [text];
  return tokens.slice(0, tokens.indexOf(text)).flatMap((token) => pipeline.token_to_id(token) ?? []);
}

/** The same tokenizer as one that never saw its special tokens: no text can become one of them. */
function forgetSpecialTokens(json: TokenizerJson, special: readonly AddedToken[]): TokenizerJson {
  const contents = new Set(special.map(({ content }) => content));
  const { merges } = json.model;
  const model = merges
    ? { ...json.model, merges: merges.filter((merge) => !contents.has(mergedPiece(merge))) }
    : json.model;
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
    throw fail(`${name} is not JSON (${(cause as Error).message})`, cause);
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
