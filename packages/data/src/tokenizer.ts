/** Token ids from text and back, whatever file the vocabulary is in, with the few choices that training has to pin down. */
import { type BosRule, type Decoding, InputError } from "@zerogate/core";
import { isGgufFile } from "@zerogate/core/node";
import { textOf } from "./decode/decoder.ts";
import { type EncodedBeginnings, encodeBeginnings } from "./encode_beginnings.ts";
import { ggufTokenizerFiles } from "./gguf/files.ts";
import { jsonParts } from "./json_parts.ts";
import type { Pipeline } from "./pipeline/pipeline.ts";
import { tekkenParts, tiktokenParts } from "./ranked/parts.ts";
import { parseSentencePieceModel } from "./sentencepiece/model_file.ts";
import { sentencePieceParts } from "./sentencepiece/parts.ts";
import { hashTokenizerFiles, readTokenizerFiles, type TokenizedModel, type TokenizerFiles } from "./tokenizer_files.ts";
import {
  type Fail,
  markedToken,
  namedToken,
  parseObject,
  type TokenizerParts,
  type TokenizerSettings,
} from "./tokenizer_parts.ts";

/** What is done with special tokens. */
export interface EncodeOptions {
  /** What the tokenizer's own post-processor adds, for LLaMA a BOS in front. @default true */
  readonly addSpecialTokens?: boolean;
  /** A special token spelled out in the text, such as "</s>", stays ordinary text. @default false */
  readonly specialTokensAsText?: boolean;
  /** A special token counts if U+10FFFF stands in front of it, and is ordinary text if not. @default false */
  readonly onlyMarkedSpecialTokens?: boolean;
}

/** What a decoded text has. */
export interface DecodeOptions {
  /** The texts of special tokens, which are left out otherwise. @default false */
  readonly keepSpecialTokens?: boolean;
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
  /** Returns the ids of a text without BOS and EOS, and for each of `ends` how many of them the text up to there, encoded by itself, begins with. */
  encodeBeginnings(
    text: string,
    ends: readonly number[],
    options?: Omit<EncodeOptions, "addSpecialTokens">,
  ): EncodedBeginnings;
  /** Special tokens are left out unless `keepSpecialTokens`. @throws RangeError for an id that is not in the vocabulary. */
  decode(ids: readonly number[], options?: DecodeOptions): string;
  /**
   * Opens the decoding of a text whose tokens come one by one: each takes the same time, however many came before, and what comes out
   * is together what `decode` returns. `push` throws as `decode` does.
   */
  openDecoding(options?: DecodeOptions): Decoding;
  /**
   * The bytes that a token adds to a text behind others, a part of a character maybe; undefined for special tokens, and for all if a
   * decoder makes texts of several tokens together.
   */
  bytesOf(id: number): Uint8Array | undefined;
  /** The texts of its special tokens. */
  readonly specialTokens: readonly string[];
  /** Whether the text spells a special token. */
  holdsSpecialToken(text: string): boolean;
}

/**
 * Loads the tokenizer of a GGUF file, or of a model folder: tokenizer.json, else tekken.json, tokenizer.model, spiece.model or
 * qwen.tiktoken, else vocab.json and merges.txt, with what
 * tokenizer_config.json and special_tokens_map.json say, which may be absent. `model` is the base that the tokenizer is for: it
 * limits the ids, and names the end of text if the files do not.
 * @throws InputError if a file cannot be read or used, naming what is wrong.
 */
export async function loadTokenizer(directory: string, model: TokenizedModel = {}): Promise<Tokenizer> {
  const read = (await isGgufFile(directory)) ? ggufTokenizerFiles : readTokenizerFiles;
  return createTokenizer(await read(directory, model));
}

/** The same from the files' contents. @throws InputError as `loadTokenizer` does. */
export function createTokenizer(files: TokenizerFiles): Tokenizer {
  const fail: Fail = (problems, cause) =>
    new InputError(`Cannot load the tokenizer from ${files.directory}`, problems, { cause });
  const settings = {
    config: parseObject(files.tokenizerConfigJson, "tokenizer_config.json", fail),
    map: parseObject(files.specialTokensMapJson, "special_tokens_map.json", fail),
    added: parseObject(files.addedTokensJson ?? "{}", "added_tokens.json", fail),
  };
  const parts = partsOf(files, settings, fail);
  const { pipeline, special } = parts;
  const specialIds = new Set(special.map(({ id }) => id));
  const idOf = (name: "bos_token" | "eos_token", own: string | undefined): number | undefined => {
    const content = namedToken(settings, name) ?? own;
    const id = content === undefined ? undefined : pipeline.idOf(content);
    if (content !== undefined && id === undefined)
      throw fail(`${name} is ${JSON.stringify(content)}, which is not in the vocabulary`);
    return id;
  };
  const eosId = idOf("eos_token", parts.eosToken) ?? files.modelEosId;
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
  const bosId = idOf("bos_token", parts.bosToken);
  const front = { tokenizer: pipeline.front, named: bosId === undefined ? [] : [bosId] };
  const { chosen, holdsSpecialToken } = chooserOf(parts);
  const openDecoding = ({ keepSpecialTokens = false }: DecodeOptions = {}): Decoding => {
    const { push, end } = pipeline.openDecoding();
    return {
      push(id) {
        if (pipeline.tokenOf(id) === undefined)
          throw new RangeError(`Cannot decode token ${id}: the vocabulary of ${files.directory} has no such id`);
        return !keepSpecialTokens && specialIds.has(id) ? "" : push(id);
      },
      end,
    };
  };
  return {
    hash: hashTokenizerFiles(files),
    files,
    bosId,
    eosId,
    frontIds: (rule = "tokenizer") => front[rule],
    vocabularySize: parts.vocabularySize,
    pieces: parts.pieces,
    specialTokens: special.map(({ content }) => content),
    holdsSpecialToken,
    encode(text, options = {}) {
      const ids = chosen(text, options).encode(text);
      const { addSpecialTokens = true } = options;
      return checked(addSpecialTokens ? [...pipeline.front, ...ids, ...pipeline.back] : ids, text);
    },
    encodeBeginnings(text, ends, options = {}) {
      const found = encodeBeginnings(chosen(text, options), text, ends);
      checked(found.ids, text);
      return found;
    },
    decode: (ids, options) => textOf(openDecoding(options), ids),
    openDecoding,
    bytesOf: (id) => (specialIds.has(id) ? undefined : pipeline.bytesOf(id)),
  };
}

/** Chooses the pipeline that does with special tokens what is asked; others are built when first needed. */
function chooserOf({ pipeline, special, normalizesSpecial, withoutSpecial }: TokenizerParts) {
  const specialIds = new Set(special.map(({ id }) => id));
  let asText: Pipeline | undefined;
  let marked: Pipeline | undefined;
  const holdsSpecialToken = (text: string): boolean =>
    special.some(({ content }) => text.includes(content)) ||
    (normalizesSpecial &&
      pipeline.sectionsOf(text).some((section) => "token" in section && specialIds.has(section.token.id)));
  const chosen = (text: string, { specialTokensAsText, onlyMarkedSpecialTokens }: EncodeOptions): Pipeline => {
    if (onlyMarkedSpecialTokens === true) return (marked ??= withoutSpecial(special.map(markedToken)));
    if (specialTokensAsText === true && holdsSpecialToken(text)) return (asText ??= withoutSpecial([]));
    return pipeline;
  };
  return { chosen, holdsSpecialToken };
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

function partsOf(files: TokenizerFiles, settings: TokenizerSettings, fail: Fail): TokenizerParts {
  const { vocabulary } = files;
  if (!vocabulary) return jsonParts(parseObject(files.tokenizerJson, "tokenizer.json", fail), fail);
  const { name, form, bytes } = vocabulary;
  try {
    switch (form) {
      case "sentencepiece":
        return sentencePieceParts(parseSentencePieceModel(bytes), settings, fail);
      case "tiktoken":
        return tiktokenParts({ name, bytes, hasScaledRotation: files.modelHasLlama3Rope === true }, settings, fail);
      case "tekken":
        return tekkenParts(parseObject(Buffer.from(bytes).toString(), name, fail), settings);
    }
  } catch (cause) {
    if (cause instanceof InputError) throw cause;
    throw fail(`${name}: ${(cause as Error).message}`, cause);
  }
}
