/** A template that is accepted puts instruction and input into the prompt, as often as it names them, and nothing else. */
import { ok, strictEqual } from "node:assert";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { loadTemplate, renderPrompt } from "@zerogate/data";
import { filesOf, scratchFolder } from "../corpus.mjs";

const folder = scratchFolder();
export const close = folder.remove;
const path = join(folder.path, "template.json");

export const corpus = () => filesOf("tests/fuzz/corpus/template");

export async function check(bytes) {
  writeFileSync(path, bytes);
  const template = await loadTemplate(path);
  // What is filled in may look like a placeholder or like a replacement pattern.
  const [instruction, input] = ["{input}$&$1", "{instruction}$'"];
  const withInput = template.withInput.split(/(\{instruction\}|\{input\})/);
  const filled = withInput.map((part) => ({ "{instruction}": instruction, "{input}": input })[part] ?? part).join("");
  strictEqual(renderPrompt(template, { instruction, input }), filled);
  ok(renderPrompt(template, { instruction, input: "" }).includes(instruction));
}
