/** The files that a tokenizer is made of, as they lie in a model's folder. */
import { createHash } from "node:crypto";
import { InputError } from "@zerogate/core";
import { describeFile } from "@zerogate/core/formats";
import { folderFile, readRegularFile } from "@zerogate/core/node";
import { isTiktoken } from "./ranked/tiktoken_file.ts";
import { MAX_TOKENIZER_BYTES } from "./tokenizer_checks.ts";
import { type Fail, parseObject } from "./tokenizer_parts.ts";
import { type MadeFiles, mergesTokenizer } from "./vocab_merges.ts";

/** A vocabulary in another form than tokenizer.json. */
export interface VocabularyFile {
  /** Its name in the folder, for messages. */
  readonly name: string;
  readonly form: "sentencepiece" | "tiktoken" | "tekken";
  readonly bytes: Uint8Array;
}

/** The files as on disk: a worker thread needs them to build the same tokenizer. */
export interface TokenizerFiles {
  /** Where they came from, for messages. */
  readonly directory: string;
  /** Empty if there is a `vocabulary`. */
  readonly tokenizerJson: string;
  /** Empty objects if the files are absent. */
  readonly tokenizerConfigJson: string;
  readonly specialTokensMapJson: string;
  /** What is read if there is no tokenizer.json. */
  readonly vocabulary?: VocabularyFile | undefined;
  /** `added_tokens.json`, which is read beside a `vocabulary` only. @default an empty object */
  readonly addedTokensJson?: string | undefined;
  /** Of config.json or generation_config.json: the end of text if the files above name none, as GPT-2's. */
  readonly modelEosId?: number | undefined;
  /** The model's rotation is scaled as that of Llama 3.1, whose special tokens tiktoken's files do not name. @default false */
  readonly modelHasLlama3Rope?: boolean | undefined;
  /** How many ids the model has embeddings for; a text that needs another one is refused. */
  readonly modelVocabSize?: number | undefined;
}

/** In this order the first that is there is read; tokenizer.json wins over all of them. */
const vocabularies = ["tekken.json", "tokenizer.model", "spiece.model", "qwen.tiktoken"] as const;

/** What the files of a base say that its tokenizer needs. */
export interface TokenizedModel {
  readonly vocabSize?: number;
  readonly eosTokenIds?: readonly number[];
  readonly ropeScaling?: { readonly type: string };
}

/** Reads the files of a folder. @throws InputError if one cannot be read, or none holds a vocabulary. */
export async function readTokenizerFiles(directory: string, model: TokenizedModel): Promise<TokenizerFiles> {
  const attempt = `Cannot load the tokenizer from ${directory}`;
  const bytesOf = async (name: string): Promise<Uint8Array | undefined> => {
    const file = await folderFile(directory, name);
    if (file === undefined) return undefined;
    if (file.bytes > MAX_TOKENIZER_BYTES) {
      throw new InputError(attempt, `${name}: ${file.bytes} bytes, at most ${MAX_TOKENIZER_BYTES} are allowed`);
    }
    return await readRegularFile(file.path, MAX_TOKENIZER_BYTES).catch((cause: Error) => {
      throw new InputError(attempt, `${name}: ${cause.message}`, { cause });
    });
  };
  const textOf = async (name: string): Promise<string | undefined> => {
    const bytes = await bytesOf(name);
    if (bytes === undefined) return undefined;
    try {
      const other = describeFile(bytes, bytes.length, "text");
      if (other) throw new Error(other.problem);
      return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    } catch (cause) {
      throw new InputError(attempt, `${name}: ${(cause as Error).message}`, { cause });
    }
  };
  const tokenizerJson = await textOf("tokenizer.json");
  const tokenizerConfigJson = (await textOf("tokenizer_config.json")) ?? "{}";
  const specialTokensMapJson = (await textOf("special_tokens_map.json")) ?? "{}";
  const vocabulary = tokenizerJson === undefined ? await findVocabulary(bytesOf, attempt) : undefined;
  const settings = { tokenizerConfigJson, specialTokensMapJson };
  const made =
    tokenizerJson === undefined && vocabulary === undefined ? await fromMerges(textOf, settings, attempt) : undefined;
  return {
    directory,
    tokenizerJson: tokenizerJson ?? "",
    ...settings,
    ...made,
    ...(vocabulary && {
      vocabulary,
      addedTokensJson: (await textOf("added_tokens.json")) ?? "{}",
      modelHasLlama3Rope: model.ropeScaling?.type === "llama3",
    }),
    modelEosId: model.eosTokenIds?.[0],
    modelVocabSize: model.vocabSize,
  };
}

/** What vocab.json and merges.txt are made into. */
async function fromMerges(
  textOf: (name: string) => Promise<string | undefined>,
  { tokenizerConfigJson, specialTokensMapJson }: Pick<TokenizerFiles, "tokenizerConfigJson" | "specialTokensMapJson">,
  attempt: string,
): Promise<MadeFiles> {
  const [vocab, merges] = [await textOf("vocab.json"), await textOf("merges.txt")];
  const fail: Fail = (problems, cause) => new InputError(attempt, problems, { cause });
  if (vocab === undefined || merges === undefined) {
    throw fail(
      `tokenizer.json: there is no such file, nor ${vocabularies.join(", ")}, nor vocab.json with merges.txt: copy one of them from where the model came from`,
    );
  }
  const settings = {
    config: parseObject(tokenizerConfigJson, "tokenizer_config.json", fail),
    map: parseObject(specialTokensMapJson, "special_tokens_map.json", fail),
    added: parseObject((await textOf("added_tokens.json")) ?? "{}", "added_tokens.json", fail),
  };
  return mergesTokenizer({ vocab: parseObject(vocab, "vocab.json", fail), merges, settings }, fail);
}

async function findVocabulary(
  bytesOf: (name: string) => Promise<Uint8Array | undefined>,
  attempt: string,
): Promise<VocabularyFile | undefined> {
  for (const name of vocabularies) {
    const bytes = await bytesOf(name);
    if (bytes === undefined) continue;
    const other = describeFile(bytes, bytes.length, name.endsWith(".model") ? "sentencepiece" : "text");
    const isRanks = name !== "tekken.json" && isTiktoken(bytes);
    if (other && !isRanks) throw new InputError(attempt, `${name}: ${other.problem}`);
    const form = name === "tekken.json" ? "tekken" : isRanks ? "tiktoken" : "sentencepiece";
    return { name, form, bytes };
  }
  return undefined;
}

/** SHA-256 over the files that were read, hexadecimal; of a tokenizer.json that of earlier versions. */
export function hashTokenizerFiles(files: TokenizerFiles): string {
  const { tokenizerJson, tokenizerConfigJson, specialTokensMapJson, vocabulary, addedTokensJson = "{}" } = files;
  const { modelHasLlama3Rope = false } = files;
  const hash = createHash("sha256");
  for (const text of [tokenizerJson, tokenizerConfigJson, specialTokensMapJson]) {
    hash.update(`${text.length}\n`).update(text);
  }
  if (vocabulary) {
    const { form, bytes } = vocabulary;
    hash
      .update(`${form} ${modelHasLlama3Rope} ${bytes.length}\n`)
      .update(bytes)
      .update(`${addedTokensJson.length}\n`)
      .update(addedTokensJson);
  }
  return hash.digest("hex");
}
