/**
 * A tokenizer.json for folders without one that have vocab.json and merges.txt: a byte-level BPE, which the class that
 * tokenizer_config.json names cuts into words in its own way. As transformers 5.18 builds them (`models/gpt2/tokenization_gpt2.py`,
 * `models/qwen2/tokenization_qwen2.py`).
 */
import { addedTokens } from "./added_tokens.ts";
import { byteDecoder, preTokenizers } from "./gguf/byte_level.ts";
import type { AddedToken } from "./tokenizer_json.ts";
import { type Fail, type TokenizerSettings, tokenText } from "./tokenizer_parts.ts";

const END = "<|endoftext|>";

/** What a class has if the settings do not say it. */
interface TokenizerClass {
  /** Name of how texts are cut into words. */
  readonly pre: string;
  readonly tokens: Readonly<Record<string, string>>;
}

const classes: ReadonlyMap<string, TokenizerClass> = new Map([
  ["GPT2Tokenizer", { pre: "gpt-2", tokens: { bos_token: END, eos_token: END, unk_token: END } }],
  ["Qwen2Tokenizer", { pre: "qwen2", tokens: { eos_token: END, unk_token: END, pad_token: END } }],
]);

/** Files of such a folder. */
export interface MergesFiles {
  readonly vocab: Readonly<Record<string, unknown>>;
  readonly merges: string;
  readonly settings: TokenizerSettings;
}

/** Texts of the files that these stand for. */
export interface MadeFiles {
  readonly tokenizerJson: string;
  /** With the tokens that the class has. */
  readonly tokenizerConfigJson: string;
}

/** @throws InputError for a class that is not read; what is wrong with the pieces is found where tokenizer.json is checked. */
export function mergesTokenizer({ vocab, merges, settings }: MergesFiles, fail: Fail): MadeFiles {
  const { config } = settings;
  const name = config["tokenizer_class"];
  const found = typeof name === "string" ? classes.get(name.replace(/Fast$/, "")) : undefined;
  if (found === undefined) {
    const named = name === undefined ? "it names none" : `it is ${JSON.stringify(name).slice(0, 100)}`;
    throw fail(
      `tokenizer.json: there is no such file, and vocab.json with merges.txt is read by the tokenizer_class of tokenizer_config.json, ${[...classes.keys()].join(" or ")}, but ${named}: copy tokenizer.json from where the model came from`,
    );
  }
  if (config["add_bos_token"] === true) {
    throw fail(
      "add_bos_token is true, which is read with a tokenizer.json alone: copy it from where the model came from",
    );
  }
  const { normalizer = null, steps } = preTokenizers.get(found.pre) ?? { steps: [] };
  const prefixed = config["add_prefix_space"] === true;
  const tokenizerJson = JSON.stringify({
    version: "1.0",
    added_tokens: tokensOf(vocab, found, settings, fail),
    normalizer,
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: steps.map((step, i) =>
        prefixed && i === steps.length - 1 ? { ...step, add_prefix_space: true } : step,
      ),
    },
    post_processor: null,
    decoder: byteDecoder,
    model: { type: "BPE", vocab, merges: linesOf(merges) },
  });
  return { tokenizerJson, tokenizerConfigJson: JSON.stringify({ ...found.tokens, ...config }) };
}

/** Without the line that says which version of the format it is. */
function linesOf(merges: string): string[] {
  const lines = merges.split("\n").map((line) => line.replace(/\r$/, ""));
  return lines.filter((line, i) => line !== "" && !(i === 0 && line.startsWith("#version")));
}

/** Tokens that are added, and those of the vocabulary that have a role, which are special. */
function tokensOf(
  vocab: Readonly<Record<string, unknown>>,
  { tokens }: TokenizerClass,
  settings: TokenizerSettings,
  fail: Fail,
): AddedToken[] {
  const { config, map } = settings;
  const more = [config["additional_special_tokens"], map["additional_special_tokens"]].flatMap((list) =>
    Array.isArray(list) ? list.map(tokenText) : [],
  );
  const roles = ["bos_token", "eos_token", "unk_token", "pad_token"].map(
    (role) => tokenText(config[role]) ?? tokenText(map[role]) ?? tokens[role],
  );
  const special = new Set([...roles, ...more]);
  const added = new Map(addedTokens(settings, fail).map((token) => [token.content, token]));
  for (const content of special) {
    if (content === undefined) continue;
    const known = added.get(content);
    const id = known?.id ?? (Object.hasOwn(vocab, content) ? vocab[content] : undefined);
    if (typeof id === "number") added.set(content, { ...known, id, content, special: true, normalized: false });
  }
  return [...added.values()].toSorted((a, b) => a.id - b.id);
}
