/** The vocabulary in the metadata of a GGUF file (`tokenizer.ggml.*`), checked. */
import type { GgufValue } from "@zerogate/core/formats";
import type { Fail } from "../tokenizer_parts.ts";

/** As many as a tokenizer.json may have. */
const MAX_TOKENS = 1_048_576;

/** Numbers of `llama_token_type`, which are SentencePiece's own. */
export const tokenTypes = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** What a file says of its tokenizer. */
export interface GgufVocabulary {
  /** `gpt2` is byte-level BPE, `llama` a SentencePiece model that merges by scores. */
  readonly model: "gpt2" | "llama";
  /** How `gpt2` cuts texts into words, by name. */
  readonly pre: string | undefined;
  readonly tokens: readonly string[];
  readonly types: readonly number[];
  readonly scores: readonly number[];
  readonly merges: readonly string[];
  /** By the name of what they mark: `bos`, `eos`, … */
  idOf(name: string): number | undefined;
  flag(name: string): boolean | undefined;
  /** Rules of SentencePiece for characters, in its compiled form. */
  readonly charsmap: Uint8Array | undefined;
}

export function readVocabulary(metadata: ReadonlyMap<string, GgufValue>, fail: Fail): GgufVocabulary {
  const value = (name: string) => metadata.get(`tokenizer.ggml.${name}`);
  const list = (name: string, of: "string" | "number", length?: number): readonly unknown[] => {
    const found = value(name);
    if (found === undefined && length !== undefined) return [];
    if (
      typeof found !== "object" ||
      found.of !== of ||
      found.length > MAX_TOKENS ||
      found.length !== (length ?? found.length)
    ) {
      const size = length === undefined ? "" : ` of ${length}`;
      throw fail(`tokenizer.ggml.${name} is ${shown(found)}, needed is a list of ${of}s${size}`);
    }
    return found.values();
  };
  const model = value("model");
  if (model !== "gpt2" && model !== "llama") {
    throw fail(
      `tokenizer.ggml.model is ${shown(model)}, read are "gpt2" and "llama": name the folder of the tokenizer with --tokenizer`,
    );
  }
  const tokens = list("tokens", "string") as readonly string[];
  const twice = tokens.length - new Set(tokens).size;
  if (tokens.length === 0 || twice > 0)
    throw fail(`tokenizer.ggml.tokens has ${tokens.length} tokens, ${twice} of them twice`);
  const mergesFound = value("merges");
  const pre = value("pre");
  const charsmap = value("precompiled_charsmap");
  return {
    model,
    pre: typeof pre === "string" ? pre : undefined,
    tokens,
    types: list("token_type", "number", tokens.length) as readonly number[],
    scores: list("scores", "number", tokens.length) as readonly number[],
    merges: mergesFound === undefined ? [] : (list("merges", "string") as readonly string[]),
    idOf(name) {
      const id = value(`${name}_token_id`);
      if (id === undefined) return undefined;
      if (typeof id === "number" && Number.isInteger(id) && id >= 0 && id < tokens.length) return id;
      throw fail(`tokenizer.ggml.${name}_token_id is ${shown(id)}, needed is an id below ${tokens.length}`);
    },
    flag(name) {
      const found = value(name);
      if (found === undefined || typeof found === "boolean") return found;
      throw fail(`tokenizer.ggml.${name} is ${shown(found)}, needed is true or false`);
    },
    charsmap: typeof charsmap === "object" ? Uint8Array.from(charsmap.values().map(Number)) : undefined,
  };
}

const shown = (value: GgufValue | undefined): string => {
  if (value === undefined) return "missing";
  return typeof value === "object" ? `a list of ${value.length} ${value.of}s` : JSON.stringify(value).slice(0, 200);
};
