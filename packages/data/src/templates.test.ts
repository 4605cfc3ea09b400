import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InputError } from "@zerogate/core";
import { expect, onTestFinished, test } from "vitest";
import { listTemplates, loadTemplate, parsePrompt, renderPrompt } from "./templates.ts";

async function templateFile(content: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "zerogate-template-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, "template.json"), content);
  return join(folder, "template.json");
}

test("the alpaca template is the text of the LLaMA-Adapter recipe, with and without input", async () => {
  const template = await loadTemplate("alpaca");
  expect(renderPrompt(template, { instruction: "Add.", input: "1 2" })).toBe(
    "Below is an instruction that describes a task, paired with an input that provides further context. Write a response that appropriately completes the request.\n\n### Instruction:\nAdd.\n\n### Input:\n1 2\n\n### Response:",
  );
  expect(renderPrompt(template, { instruction: "Add.", input: "" })).toBe(
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n### Instruction:\nAdd.\n\n### Response:",
  );
});

test("the plain template is the instruction and the input, a line each", async () => {
  const template = await loadTemplate("plain");
  expect(renderPrompt(template, { instruction: "Add.", input: "1 2" })).toBe("Add.\n1 2\n");
  expect(renderPrompt(template, { instruction: "Add.", input: "" })).toBe("Add.\n");
  expect(listTemplates().map(({ name }) => name)).toEqual(["alpaca", "plain", "scienceqa"]);
});

test("what a record says is never taken for a placeholder or a replacement pattern", async () => {
  const template = await loadTemplate("plain");
  expect(renderPrompt(template, { instruction: "{input} $& $1", input: "{instruction}" })).toBe(
    "{input} $& $1\n{instruction}\n",
  );
});

test("a template file is loaded by its path", async () => {
  const path = await templateFile(
    '{"withInput": "Q: {instruction} ({input}) {} {1}\\nA:", "withoutInput": "Q: {instruction}\\nA:"}',
  );
  const template = await loadTemplate(path);
  expect(renderPrompt(template, { instruction: "Why?", input: "x" })).toBe("Q: Why? (x) {} {1}\nA:");
});

test("all problems of a template file are named at once", async () => {
  const path = await templateFile('{"withInput": "{instruction} {context}", "withoutInput": 3}');
  await expect(loadTemplate(path)).rejects.toThrow(
    `Cannot use the template "${path}":\n  - withInput has no {input}, it is needed\n` +
      "  - withInput holds {context}, only {instruction} and {input} can be filled in\n  - withoutInput is number, a text is needed",
  );
});

test("an unknown name and a file that is not JSON are refused, naming what can be used", async () => {
  await expect(loadTemplate("alpacca")).rejects.toThrow(
    /Cannot use the template "alpacca": there is no such file.*use "alpaca", "plain", "scienceqa", "chatml", "zephyr", "chat" or a file of withInput and withoutInput in JSON, or in Jinja/,
  );
  for (const content of ["Q: {instruction}", "null", "[]"]) {
    await expect(loadTemplate(await templateFile(content))).rejects.toThrow(InputError);
  }
});

test("a template file that is nested without end, or says a thing twice, is refused [T-B7]", async () => {
  const texts = '"withInput": "{instruction}{input}", "withoutInput": "{instruction}"';
  await expect(loadTemplate(await templateFile(`{${texts}}`))).resolves.toMatchObject({
    withoutInput: "{instruction}",
  });
  const deep = `${"[".repeat(5_000)}${"]".repeat(5_000)}`;
  for (const [more, problem] of [
    [`"more": ${deep}`, "Brackets are nested more than 1000 deep"],
    ['"withoutInput": "{instruction}!"', 'Duplicate key "withoutInput" in JSON'],
  ] as const)
    await expect(loadTemplate(await templateFile(`{${texts}, ${more}}`))).rejects.toThrow(problem);
});

test("parsePrompt finds what a prompt asked, for any texts, and nothing in other texts", () => {
  const twice = {
    name: "twice",
    withInput: "{instruction} (a+b) {instruction}|{input}.",
    withoutInput: "{instruction}?",
  };
  for (const template of [...listTemplates(), twice]) {
    for (const record of [
      { instruction: "Add.", input: "" },
      { instruction: "Sum {input} $& (x)", input: "1 2" },
    ]) {
      expect(parsePrompt(template, renderPrompt(template, record))).toEqual(record);
    }
  }
  expect(parsePrompt(twice, "something else")).toBeUndefined();
});
