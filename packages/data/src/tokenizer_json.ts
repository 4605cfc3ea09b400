/** What is read of a tokenizer.json, once it has been checked. */

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
  readonly normalizer: unknown;
  readonly pre_tokenizer: unknown;
  readonly decoder: unknown;
  readonly [key: string]: unknown;
}

export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special?: boolean;
  readonly normalized?: boolean;
  readonly single_word?: boolean;
  readonly lstrip?: boolean;
  readonly rstrip?: boolean;
}

export const contentOf = ({ content }: AddedToken): string => content;

/** The piece that a merge makes. */
export function mergedPiece(merge: Merge): string {
  return typeof merge === "string" ? merge.replace(" ", "") : merge.join("");
}
