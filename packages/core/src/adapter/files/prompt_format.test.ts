import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { InputError } from "../../errors.ts";
import { readPromptFormat } from "../../node/adapter_files.ts";
import { isSameTemplate, parsePromptFormat, serializePromptFormat } from "./prompt_format.ts";

const template = { name: "turns", withInput: "{instruction}\n{input}:", withoutInput: "{instruction}:" };
const format = { template, bos: "tokenizer" } as const;
const stored = JSON.parse(serializePromptFormat(format)) as Record<string, unknown>;

test("a prompt format comes back as it was written [T-D2]", () => {
  expect(parsePromptFormat(stored, "zerogate.json")).toEqual(format);
  expect(stored).toEqual({ version: 1, template, bos: "tokenizer" });
});

test.each([
  ["no object", [], "it is not an object"],
  [
    "a later version",
    { ...stored, version: 3 },
    "its version is 3, this program reads 1 and 2: use the one that wrote it",
  ],
  ["a key that nobody knows", { ...stored, eos: "x" }, '"eos" is no key of it'],
  ["a rule that nobody knows", { ...stored, bos: "always" }, 'bos is "always", one of tokenizer, named is needed'],
  ["no template", { ...stored, template: null }, "template.name is missing"],
  ["no place for the input", { ...stored, template: { ...template, withInput: "{instruction}" } }, "has no {input}"],
  ["a place of no field", { ...stored, template: { ...template, withoutInput: "{instruction}{x}" } }, "holds {x}"],
])("a prompt format of %s is refused [T-D2]", (_, json, message) => {
  const parse = () => parsePromptFormat(json, "A/zerogate.json");
  expect(parse).toThrow(InputError);
  expect(parse).toThrow(message);
  expect(parse).toThrow("Cannot use A/zerogate.json");
});

test("a folder without the file does not say, one with a damaged file is refused [T-D2]", async () => {
  const folder = await mkdtemp(join(tmpdir(), "zerogate-format-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  expect(await readPromptFormat(folder)).toBeUndefined();
  await writeFile(join(folder, "zerogate.json"), "{");
  await expect(readPromptFormat(folder)).rejects.toThrow("it ends after 1 bytes in the middle");
});

test("templates are the same if their texts are", () => {
  expect(isSameTemplate(template, { ...template, name: "other" })).toBe(true);
  expect(isSameTemplate(template, { ...template, withInput: "{input}{instruction}" })).toBe(false);
  expect(isSameTemplate(template, { ...template, withoutInput: "{instruction}" })).toBe(false);
});

const chat = {
  name: "chat",
  chat: "{{ messages[0].content }}</s>",
  tokens: { eos_token: "</s>" },
  turns: "last",
  end: "</s>",
} as const;
const chatFormat = { template: chat, bos: "tokenizer" } as const;

test("a template of chats comes back as it was written, in a version that 0.1.0 refuses", () => {
  const json = JSON.parse(serializePromptFormat(chatFormat)) as { readonly version: number };
  expect(json.version).toBe(2);
  expect(parsePromptFormat(json, "zerogate.json")).toEqual(chatFormat);
  expect(isSameTemplate(chat, { ...chat, name: "other", turns: "all" })).toBe(true);
  expect(isSameTemplate(chat, { ...chat, tokens: {} })).toBe(false);
  expect(isSameTemplate(chat, template)).toBe(false);
});

test.each([
  ["no source", { chat: "" }, "template.chat is missing"],
  ["no end", { end: 3 }, "template.end is missing"],
  ["no tokens", { tokens: [] }, "template.tokens is missing"],
  ["tokens that are none", { tokens: { a: 1 } }, "template.tokens is missing"],
  ["turns that nobody knows", { turns: "some" }, 'template.turns is "some", one of all, last is needed'],
])("a template of chats with %s is refused", (_, change, message) => {
  const json = { version: 2, template: { ...chat, ...change }, bos: "tokenizer" };
  expect(() => parsePromptFormat(json, "A/zerogate.json")).toThrow(message);
});
