/** What is used of `@huggingface/tokenizers`: its own declarations do not resolve under nodenext. */
import * as library from "@huggingface/tokenizers";
import type { WordCache } from "../space_cut.ts";

export interface LibraryTokenizer {
  readonly model: {
    (words: string[]): string[];
    readonly tokens_to_ids: ReadonlyMap<string, number>;
    readonly vocab: (string | undefined)[];
    readonly unk_token_id: number | undefined;
    readonly scores?: number[];
    cache?: WordCache;
  };
  readonly post_processor: { post_process(tokens: string[]): { tokens: string[] } } | null;
}

interface Library {
  readonly Tokenizer: new (json: object, config: object) => LibraryTokenizer;
  readonly SplitPreTokenizer: new (node: object) => { readonly pattern: RegExp };
  readonly ByteLevelPreTokenizer: new (node: object) => { pre_tokenize_text(text: string): string[] };
}

const typed = library as unknown as Library;
export const Tokenizer: Library["Tokenizer"] = typed.Tokenizer;
export const SplitPreTokenizer: Library["SplitPreTokenizer"] = typed.SplitPreTokenizer;
export const ByteLevelPreTokenizer: Library["ByteLevelPreTokenizer"] = typed.ByteLevelPreTokenizer;
