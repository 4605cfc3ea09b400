/** The base that is served: its config, its tokenizer, and how chats with it are written. */
import { basename } from "node:path";
import {
  InputError,
  isZerogateError,
  type ModelConfig,
  type PromptFormat,
  type TokenTrie,
  tokenTrie,
} from "@zerogate/core";
import { loadTemplate, type Tokenizer } from "@zerogate/data";
import { hubNameOf } from "@zerogate/run-config";
import { endTokens, type OpenedBase, type PromptFlags, promptFormatOf } from "@zerogate/trainer/command";

/** A base as requests see it. */
export interface ServedBase {
  readonly name: string;
  readonly folder: string;
  readonly config: ModelConfig;
  readonly tokenizer: Tokenizer;
  /** Its tokens by their bytes, for answers that follow a schema. */
  readonly trie: TokenTrie;
  /** How chats with the base alone are written. */
  readonly format: PromptFormat;
  /** Tokens that end an answer in a chat. */
  readonly endIds: readonly number[];
  /** Tokens that end a text without a template. */
  readonly textEndIds: readonly number[];
  /** Seconds since 1970. */
  readonly created: number;
}

/** @param name That requests call it by. @default that of the Hub, else of its folder */
export async function servedBase(
  { folder, model: config, tokenizer }: OpenedBase,
  { name = hubNameOf(folder)?.id ?? basename(folder), ...flags }: PromptFlags & { readonly name?: string | undefined },
  onWarning: (message: string) => void,
): Promise<ServedBase> {
  const format = await baseFormat(tokenizer, flags, onWarning);
  return {
    name,
    folder,
    config,
    tokenizer,
    // A model may have more rows than its tokenizer has tokens: none of them is in the tree.
    trie: tokenTrie(Math.min(config.vocabSize, tokenizer.vocabularySize), tokenizer.bytesOf),
    format,
    endIds: endTokens(tokenizer, config, format.template),
    textEndIds: endTokens(tokenizer, config, { name: "none", withInput: "", withoutInput: "" }),
    created: Math.floor(Date.now() / 1000),
  };
}

/** The template that is named, else the model's own of chats, else that of instructions. */
async function baseFormat(
  tokenizer: Tokenizer,
  flags: PromptFlags,
  onWarning: (message: string) => void,
): Promise<PromptFormat> {
  if (flags.template === undefined) {
    try {
      return { template: await loadTemplate("chat", tokenizer), bos: flags.bos ?? "tokenizer" };
    } catch (error) {
      if (!isZerogateError(error, "input")) throw error;
      const isAbsent =
        error instanceof InputError && error.problems.some((problem) => /no chat template/.test(problem));
      if (!isAbsent) onWarning(`${error.message}; chats with the base are written as instructions`);
    }
  }
  return await promptFormatOf(undefined, flags, tokenizer, onWarning);
}
