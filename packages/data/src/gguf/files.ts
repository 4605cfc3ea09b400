/** The files of a tokenizer, made of what a GGUF file says of it. */
import { InputError } from "@zerogate/core";
import { readGgufMetadata } from "@zerogate/core/node";
import type { TokenizedModel, TokenizerFiles } from "../tokenizer_files.ts";
import type { Fail } from "../tokenizer_parts.ts";
import { byteLevelTokenizer } from "./byte_level.ts";
import { sentencePieceModel } from "./sentencepiece.ts";
import { type GgufVocabulary, readVocabulary, tokenTypes } from "./vocabulary.ts";

/** @throws InputError if the file does not say enough to give the ids of the original tokenizer. */
export async function ggufTokenizerFiles(path: string, model: TokenizedModel): Promise<TokenizerFiles> {
  const fail: Fail = (problems, cause) => new InputError(`Cannot load the tokenizer from ${path}`, problems, { cause });
  const metadata = await readGgufMetadata(path);
  const vocabulary = readVocabulary(metadata, fail);
  const architecture = metadata.get("general.architecture");
  const { tokens, idOf, flag } = vocabulary;
  const token = (name: string) => tokens[idOf(name) ?? -1];
  const template = metadata.get("tokenizer.chat_template");
  const settings = {
    ...(typeof template === "string" && { chat_template: template }),
    ...(token("bos") !== undefined && { bos_token: token("bos") }),
    ...(token("eos") !== undefined && { eos_token: token("eos") }),
  };
  const files = {
    directory: path,
    specialTokensMapJson: "{}",
    modelEosId: model.eosTokenIds?.[0],
    modelVocabSize: model.vocabSize,
  };
  if (vocabulary.model === "gpt2") {
    const tokenizerJson = JSON.stringify(byteLevelTokenizer(vocabulary, fail));
    return { ...files, tokenizerJson, tokenizerConfigJson: JSON.stringify(settings) };
  }
  if (typeof architecture === "string" && architecture.startsWith("gemma")) checkOrder(vocabulary, fail);
  const addsTokens = { add_bos_token: flag("add_bos_token") ?? true, add_eos_token: flag("add_eos_token") ?? false };
  const bytes = sentencePieceModel(vocabulary, fail);
  return {
    ...files,
    tokenizerJson: "",
    tokenizerConfigJson: JSON.stringify({ ...settings, ...addsTokens }),
    vocabulary: { name: "its vocabulary", form: "sentencepiece", bytes },
  };
}

/**
 * Refuses a vocabulary whose scores order its pieces otherwise than their ids do: transformers merges those of Gemma by their ids,
 * llama.cpp by their scores.
 */
function checkOrder({ tokens, types, scores }: GgufVocabulary, fail: Fail): void {
  const merged = tokens.flatMap((token, id) =>
    types[id] === tokenTypes.normal && Array.from(token).length > 1 ? [scores[id] ?? 0] : [],
  );
  if (merged.every((score, i) => i === 0 || score <= (merged[i - 1] ?? 0))) return;
  throw fail(
    "its scores order its pieces otherwise than their ids do, and programs differ in what they go by: name the folder of the tokenizer with --tokenizer",
  );
}
