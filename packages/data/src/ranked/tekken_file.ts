/** `tekken.json` of Mistral: pieces by rank, the expression that cuts texts into words, and special tokens, whose ids come first. */
import { type AddedToken } from "../tokenizer_json.ts";
import { type RankedPieces, rankedPieces } from "./pieces.ts";

export interface Tekken {
  readonly pieces: RankedPieces;
  readonly expression: string;
  readonly special: readonly AddedToken[];
}

/** What files of version 3 to 7 do not list: `Tekkenizer.DEPRECATED_SPECIAL_TOKENS` of mistral-common 1.12. */
const unlisted = [
  "<unk>",
  "<s>",
  "</s>",
  "[INST]",
  "[/INST]",
  "[AVAILABLE_TOOLS]",
  "[/AVAILABLE_TOOLS]",
  "[TOOL_RESULTS]",
  "[/TOOL_RESULTS]",
  "[TOOL_CALLS]",
  "[IMG]",
  "<pad>",
  "[IMG_BREAK]",
  "[IMG_END]",
  "[PREFIX]",
  "[MIDDLE]",
  "[SUFFIX]",
  "[SYSTEM_PROMPT]",
  "[/SYSTEM_PROMPT]",
  "[TOOL_CONTENT]",
];
const WITHOUT_LIST = /^v[1-7](?:m\d+)?$/;
/** As many as a tokenizer.json may have. */
const MAX_SPECIAL = 1_048_576;

/** @throws Error that says what is wrong. */
export function parseTekken(file: Readonly<Record<string, unknown>>): Tekken {
  const { config, vocab, special_tokens: listed } = file;
  if (!isObject(config) || !Array.isArray(vocab)) throw new Error("it has no config and no vocab");
  const { pattern, default_vocab_size: size, default_num_special_tokens: reserved, version } = config;
  if (typeof pattern !== "string" || pattern === "")
    throw new Error("config.pattern is missing, an expression is needed");
  if (!isCount(size) || !isCount(reserved) || reserved > size || reserved > MAX_SPECIAL) {
    throw new Error(`config has ${String(size)} ids, of which ${String(reserved)} are of special tokens`);
  }
  if (vocab.length < size - reserved) {
    throw new Error(`vocab has ${vocab.length} pieces, config.default_vocab_size needs ${size - reserved}`);
  }
  const pieces = rankedPieces(
    vocab.slice(0, size - reserved).map((entry: unknown) => {
      const { rank, token_bytes: bytes } = isObject(entry) ? entry : {};
      if (typeof rank !== "number" || typeof bytes !== "string")
        throw new Error("vocab has an entry without rank and bytes");
      return [rank, bytes] as const;
    }),
  );
  if (listed === undefined && !WITHOUT_LIST.test(String(version))) {
    throw new Error(`it has no special_tokens, which a file of version ${String(version)} lists`);
  }
  return { pieces, expression: pattern, special: specialTokens(listed ?? unlisted.map(asListed), reserved) };
}

const asListed = (token_str: string, rank: number) => ({ rank, token_str });

/** Ids that no token is listed for are those of tokens `<SPECIAL_id>`. */
function specialTokens(listed: unknown, reserved: number): AddedToken[] {
  if (!Array.isArray(listed)) throw new Error("special_tokens is no list");
  const contents = new Map<number, string>();
  for (const entry of listed as readonly unknown[]) {
    const { rank, token_str: content } = isObject(entry) ? entry : {};
    if (!isCount(rank) || rank >= reserved || typeof content !== "string" || content === "" || contents.has(rank)) {
      throw new Error(`special_tokens has an entry that is not a text and an own rank below ${reserved}`);
    }
    contents.set(rank, content);
  }
  const tokens = Array.from({ length: reserved }, (_, id) => contents.get(id) ?? `<SPECIAL_${id}>`);
  if (new Set(tokens).size < reserved) throw new Error("special_tokens has a token twice");
  return tokens.map((content, id) => ({ id, content, special: true }));
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
