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
  ["a later version", { ...stored, version: 2 }, "its version is 2, this program reads 1: use the one that wrote it"],
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
