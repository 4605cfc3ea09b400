/** A GGUF file as a folder of transformers would have it: its config.json, and the names of its tensors. */
import { InputError } from "../../errors.ts";
import type { GgufValue } from "../../formats/gguf_values.ts";
import { pairedRows } from "../paired_rows.ts";
import type { ConfigFields, GgufArchitecture, GgufContents } from "./architecture.ts";
import { ggufArchitectures, modelTensors } from "./architectures.ts";
import { describe, type GgufKeys, ggufKeys } from "./keys.ts";

/** More than any model has; a bound for names made by a number from a file. */
const MAX_EXPERTS = 10_000;

type Metadata = ReadonlyMap<string, GgufValue>;

/** Ids of tokens that end a text: of texts, of turns, of messages. */
const endKeys = ["eos", "eot", "eom"].map((name) => `tokenizer.ggml.${name}_token_id`);

/** Tensors that say how to rotate: they become a part of the config. */
const rotation = /^rope_(?:freqs|factors_long|factors_short)\.weight$/;

/** Returns the architecture. Throws an `InputError` if it is not read. */
function architectureOf(metadata: Metadata, attempt: string): { readonly name: string } & GgufArchitecture {
  const name = metadata.get("general.architecture");
  const type = metadata.get("general.type") ?? "model";
  if (type !== "model") throw new InputError(attempt, `general.type is ${describe(type)}, needed is a model`);
  const found = typeof name === "string" ? ggufArchitectures.get(name) : undefined;
  if (found && typeof name === "string") return { name, ...found };
  const known = [...ggufArchitectures.keys()].join(", ");
  throw new InputError(
    attempt,
    `general.architecture is ${name === undefined ? "missing" : describe(name)}, read are ${known}`,
  );
}

/**
 * Returns what a config.json would say.
 * @param vocabSize is the rows of the embedding.
 * @throws InputError that lists what is missing, wrong or not read.
 */
export function ggufConfig(
  metadata: Metadata,
  contents: GgufContents,
  { vocabSize, path }: { readonly vocabSize: number; readonly path: string },
): ConfigFields {
  const attempt = `Cannot use ${path} as a model`;
  const architecture = architectureOf(metadata, attempt);
  const problems: string[] = [];
  const keys = ggufKeys(metadata, architecture.name, problems);
  const heads = keys.count("attention.head_count");
  const config = {
    vocab_size: vocabSize,
    hidden_size: keys.count("embedding_length"),
    num_hidden_layers: keys.count("block_count"),
    intermediate_size: keys.count("feed_forward_length"),
    num_attention_heads: heads,
    num_key_value_heads: keys.count("attention.head_count_kv", heads),
    max_position_embeddings: keys.count("context_length"),
    tie_word_embeddings: !contents.has("output.weight"),
    ...tokenIds(metadata, keys),
    ...architecture.config(keys, contents),
  };
  for (const key of keys.unread()) {
    problems.push(`${key} is ${describe(metadata.get(key))}, which is not read and may change what the model computes`);
  }
  if (problems.length > 0) throw new InputError(attempt, problems);
  return Object.fromEntries(Object.entries(config).filter(([, value]) => value !== undefined));
}

function tokenIds(metadata: Metadata, keys: GgufKeys): ConfigFields {
  const idOf = (key: string): number[] => {
    const id = metadata.get(key);
    if (id === undefined) return [];
    if (typeof id === "number" && Number.isInteger(id) && id >= 0) return [id];
    keys.problem(`${key} is ${describe(id)}, needed is an id`);
    return [];
  };
  const [bos] = idOf("tokenizer.ggml.bos_token_id");
  return { bos_token_id: bos ?? null, eos_token_id: [...new Set(endKeys.flatMap(idOf))] };
}

/** A tensor as files of transformers have it. */
export interface GgufName {
  /** The tensors that it holds, one below the other; none if its numbers are in the config. */
  readonly hfNames: readonly string[];
  /** Where its rows go. @default to their own places */
  readonly rowTo?: (stored: number) => number;
  /** The 1 that transformers adds to this norm is in its numbers. */
  readonly holdsOne?: boolean;
  /** It is a linear map `[out, in]` that transformers' files have as `[in, out]`. */
  readonly isTurned?: boolean;
}

/**
 * Names each of the tensors as transformers does.
 * @throws InputError for tensors that are not read: a model without them would compute something else.
 */
export function ggufNames(
  metadata: Metadata,
  tensors: ReadonlyMap<string, { readonly shape: readonly number[] }>,
  path: string,
): ReadonlyMap<string, GgufName> {
  const attempt = `Cannot use ${path} as a model`;
  const architecture = architectureOf(metadata, attempt);
  const keys = ggufKeys(metadata, architecture.name, []);
  const heads = keys.count("attention.head_count", 1);
  const kvHeads = keys.count("attention.head_count_kv", heads);
  const names = new Map<string, GgufName>();
  const unread: string[] = [];
  for (const [name, { shape }] of tensors) {
    const hfNames = rotation.test(name) ? [] : namesOf(name, shape, architecture);
    if (hfNames === undefined) {
      unread.push(name);
      continue;
    }
    const [rows = 1] = shape;
    const own = name.includes(".attn_k.") ? kvHeads : heads;
    const isRotated = /\.attn_[qk]\./.test(name);
    const rowTo =
      architecture.rows === "pairs" && isRotated
        ? pairedRows(rows / own)
        : architecture.rows === "kinds" && name.includes(".attn_qkv.")
          ? kindRows(heads, rows / heads / 3)
          : undefined;
    const holdsOne = architecture.normsHoldOne === true && name.endsWith("norm.weight");
    const isTurned = architecture.turnsMaps === true && shape.length === 2 && name.startsWith("blk.");
    names.set(name, { hfNames, ...(rowTo && { rowTo }), ...(holdsOne && { holdsOne }), ...(isTurned && { isTurned }) });
  }
  if (unread.length > 0) {
    const some = unread.slice(0, 8).map((name) => JSON.stringify(name.slice(0, 100)));
    const more = unread.length > some.length ? ` and ${unread.length - some.length} more` : "";
    throw new InputError(
      attempt,
      `its tensors ${some.join(", ")}${more} are not read, and may change what it computes`,
    );
  }
  return names;
}

/** Undefined for a tensor that is not read. */
function namesOf(
  name: string,
  [parts = 0]: readonly number[],
  { layer, experts = {}, layers = "model.layers", model = modelTensors }: GgufArchitecture,
): readonly string[] | undefined {
  const pathIn = (known: Readonly<Record<string, string>>, own: string) =>
    Object.hasOwn(known, own) ? known[own] : undefined;
  const [, index, inLayer, ofLayer] = /^blk\.(\d{1,5})\.(\w+)\.(weight|bias)$/.exec(name) ?? [];
  if (inLayer !== undefined) {
    const whole = (path: string) => `${layers}.${index}.${path}.${ofLayer}`;
    const [own, ofExperts] = [pathIn(layer, inLayer), pathIn(experts, inLayer)];
    if (own !== undefined) return [whole(own)];
    if (ofExperts === undefined || parts > MAX_EXPERTS) return undefined;
    return Array.from({ length: parts }, (_, e) => whole(ofExperts.replace("*", String(e))));
  }
  const [, outer = "", kind] = /^(\w+)\.(weight|bias)$/.exec(name) ?? [];
  const path = pathIn(model, outer);
  return path === undefined ? undefined : [`${path}.${kind}`];
}

/** Rows of all queries, all keys, all values, where transformers has head by head `d` of each. */
function kindRows(heads: number, d: number): (stored: number) => number {
  return (stored) => {
    const [kind, inKind] = [Math.floor(stored / (heads * d)), stored % (heads * d)];
    return Math.floor(inKind / d) * 3 * d + kind * d + (inKind % d);
  };
}
