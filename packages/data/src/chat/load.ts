/** Where chat templates come from: a model's folder, in any of the three files that have carried them, or a file of one's own. */
import { basename } from "node:path";
import { type ChatTemplate, InputError, type TurnRule } from "@zerogate/core";
import { parseStrictJson } from "@zerogate/core/formats";
import { folderFile, isGgufFile, readRegularFile, reason } from "@zerogate/core/node";
import { isObject } from "../record.ts";
import type { Tokenizer } from "../tokenizer.ts";
import { rendererOf } from "./encode.ts";
import { namedChatTemplates } from "./named.ts";

/** Longer ones are none: the longest in use has 20,000 characters. */
const MAX_BYTES = 1_000_000;
const JINJA = "chat_template.jinja";
const LEGACY = "chat_template.json";
const CONFIG = "tokenizer_config.json";

/** Names of special tokens that templates may use. */
const tokenNames = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/** Whether a template of chats is named: the model's own (`chat`), one of ours, or a file in Jinja. */
export const namesChatTemplate = (nameOrPath: string): boolean =>
  nameOrPath === "chat" || namedChatTemplates.has(nameOrPath) || nameOrPath.toLowerCase().endsWith(".jinja");

/**
 * The template of a model (`chat`), one of ours by its name, or one in a file.
 *
 * @throws InputError if there is none, it cannot be read, or it does not show what the assistant says.
 */
export async function loadChatTemplate(
  nameOrPath: string,
  tokenizer: Tokenizer,
  turns: TurnRule,
): Promise<ChatTemplate> {
  const attempt = `Cannot use the template "${nameOrPath}"`;
  const known = namedChatTemplates.get(nameOrPath);
  const isOwn = nameOrPath === "chat";
  try {
    const chat = known ?? (isOwn ? await templateOf(tokenizer) : await readText(nameOrPath));
    const template = { name: basename(nameOrPath), chat, tokens: tokensOf(tokenizer), turns, end: "" };
    const probe = { messages: [question, { role: "assistant", content: "B" }] };
    const [rendered] = await rendererOf(template, tokenizer).render([probe]);
    if (!rendered || "refused" in rendered) throw new Error(rendered?.refused);
    return { ...template, end: rendered.end };
  } catch (cause) {
    throw new InputError(attempt, cause instanceof InputError ? cause.problems : reason(cause), { cause });
  }
}

/** A question that every template takes. */
const question = { role: "user", content: "A" };

async function templateOf({ files }: Tokenizer): Promise<string> {
  const { directory } = files;
  const isFolder = !(await isGgufFile(directory));
  if (isFolder && (await folderFile(directory, JINJA))) return await readIn(directory, JINJA);
  const config: unknown = parseStrictJson(files.tokenizerConfigJson);
  const inConfig = isObject(config) ? config["chat_template"] : undefined;
  if (inConfig !== undefined && inConfig !== null) return chosenOf(inConfig, `${directory}/${CONFIG}`);
  if (isFolder && (await folderFile(directory, LEGACY))) {
    const json: unknown = parseStrictJson(await readIn(directory, LEGACY));
    if (isObject(json)) return chosenOf(json["chat_template"], `${directory}/${LEGACY}`);
  }
  throw new Error(
    `${directory} has no chat template (neither ${JINJA} nor chat_template in ${CONFIG} or ${LEGACY}): ` +
      "--template zephyr writes chats for any tokenizer, --template chatml for those with <|im_end|>, or name a file in Jinja",
  );
}

/** One text, or the one named "default" of several. */
function chosenOf(value: unknown, place: string): string {
  if (typeof value === "string") return value;
  const named = Array.isArray(value) ? value.filter(isObject) : [];
  const chosen = named.find(({ name }) => name === "default")?.["template"];
  if (typeof chosen === "string") return chosen;
  const names = named.map(({ name }) => JSON.stringify(name)).join(", ");
  const found = names === "" ? "is no text" : `has the names ${names}, none is "default"`;
  throw new Error(`chat_template of ${place} ${found}: save the one that you want as a file and name it`);
}

async function readIn(directory: string, name: string): Promise<string> {
  const file = await folderFile(directory, name);
  if (file === undefined) throw new Error(`${directory} has no ${name}`);
  return await readText(file.path);
}

async function readText(path: string): Promise<string> {
  return new TextDecoder("utf-8", { fatal: true }).decode(await readRegularFile(path, MAX_BYTES));
}

function tokensOf({ files }: Tokenizer): Record<string, string> {
  const tokens: Record<string, string> = {};
  for (const json of [files.specialTokensMapJson, files.tokenizerConfigJson]) {
    const values: unknown = parseStrictJson(json);
    if (!isObject(values)) continue;
    for (const name of tokenNames) {
      const token = values[name];
      const text = isObject(token) ? token["content"] : token;
      if (typeof text === "string") tokens[name] = text;
    }
  }
  return tokens;
}
