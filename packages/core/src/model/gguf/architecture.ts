/** What an architecture of GGUF files is: how its metadata reads, and what its tensors are called. */
import type { GgufKeys } from "./keys.ts";

/** What a file holds beside its metadata. */
export interface GgufContents {
  has(tensor: string): boolean;
  /** Numbers of a small tensor; undefined if there is none of the name. */
  numbers(tensor: string): readonly number[] | undefined;
}

/** Fields of a config.json. */
export type ConfigFields = Readonly<Record<string, unknown>>;

/** One architecture. */
export interface GgufArchitecture {
  /** Paths in transformers of the tensors of a layer, by their names in the file. */
  readonly layer: Readonly<Record<string, string>>;
  /** The same of tensors that hold the maps of all experts of a layer, one below the other; `*` stands for the expert. */
  readonly experts?: Readonly<Record<string, string>>;
  /** The same of all others. */
  readonly model?: Readonly<Record<string, string>>;
  /** Path of a layer, in front of its number. @default "model.layers" */
  readonly layers?: string;
  /**
   * How rows of queries and keys are ordered: number 2j of a head beside number 2j + 1, where transformers has j and j + d/2; or
   * all queries, all keys, all values, where transformers has them head by head.
   */
  readonly rows?: "pairs" | "kinds";
  /** Norms hold the 1 that transformers adds to what its files have. */
  readonly normsHoldOne?: boolean;
  /** Linear maps are `[out, in]`, as everywhere in GGUF, and `[in, out]` in transformers' files. */
  readonly turnsMaps?: boolean;
  /** Fields that all architectures have in other words; undefined takes one away that `ggufConfig` has for all. */
  config(keys: GgufKeys, contents: GgufContents): ConfigFields;
}
