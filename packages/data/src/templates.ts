/**
 * Prompt templates: how an instruction record becomes the text that the model reads before its answer.
 * The two Alpaca texts are a data format: they are those of LLaMA-Adapter's own recipe, without a line break after "Response:".
 */
import { basename } from "node:path";
import { InputError, isChatTemplate, type Template, type TextTemplate, type TurnRule } from "@zerogate/core";
import { parseStrictJson, templateProblems } from "@zerogate/core/formats";
import { readRegularFile, reason } from "@zerogate/core/node";
import { loadChatTemplate, namesChatTemplate } from "./chat/load.ts";
import { namedChatTemplates } from "./chat/named.ts";
import type { InstructionRecord } from "./record.ts";
import type { Tokenizer } from "./tokenizer.ts";

const alpaca: TextTemplate = {
  name: "alpaca",
  withInput:
    "Below is an instruction that describes a task, paired with an input that provides further context. " +
    "Write a response that appropriately completes the request.\n\n" +
    "### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:",
  withoutInput:
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n" +
    "### Instruction:\n{instruction}\n\n### Response:",
};

const plain: TextTemplate = { name: "plain", withInput: "{instruction}\n{input}\n", withoutInput: "{instruction}\n" };

/** The text of ScienceQA's authors, of records that `scienceRecord` makes. */
const scienceQa: TextTemplate = {
  name: "scienceqa",
  withInput: "{instruction}\n{input}\nAnswer:",
  withoutInput: "{instruction}\nAnswer:",
};

/** A template is a few sentences; a larger file is something else. */
const MAX_TEMPLATE_BYTES = 65_536;
const PLACEHOLDER = /\{([A-Za-z_]\w*)\}/g;

/** The built-in templates. */
export function listTemplates(): readonly TextTemplate[] {
  return [alpaca, plain, scienceQa];
}

/**
 * The text before the answer. Placeholders are filled in one pass, so a record that says "{input}" is left as it is.
 * Only the fields that a prompt shows are needed, so that generation can use it too.
 */
export function renderPrompt(template: TextTemplate, record: Pick<InstructionRecord, "instruction" | "input">): string {
  const text = record.input === "" ? template.withoutInput : template.withInput;
  return text.replace(PLACEHOLDER, (_, name: string) => (name === "input" ? record.input : record.instruction));
}

/** What stands between a prompt and its answer, and belongs to the answer's tokens: a space in ScienceQA's text. */
export function answerLead({ withInput, withoutInput }: TextTemplate): string {
  return withInput === scienceQa.withInput && withoutInput === scienceQa.withoutInput ? " " : "";
}

/** What a rendered prompt asked, or undefined if it is not of this template: for showing prompts without the frame. */
export function parsePrompt(
  template: Template,
  prompt: string,
): Pick<InstructionRecord, "instruction" | "input"> | undefined {
  if (isChatTemplate(template)) return undefined;
  for (const frame of [template.withInput, template.withoutInput]) {
    const seen = new Set<string>();
    const pattern = frame.split(PLACEHOLDER).map((part, i) => {
      if (i % 2 === 0) return part.replace(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
      const isFirst = !seen.has(part);
      seen.add(part);
      return isFirst ? `(?<${part}>[^]*?)` : String.raw`\k<${part}>`;
    });
    const match = new RegExp(`^${pattern.join("")}$`).exec(prompt);
    if (match?.groups) return { instruction: match.groups["instruction"] ?? "", input: match.groups["input"] ?? "" };
  }
  return undefined;
}

/**
 * A built-in template by name, or else a JSON file `{"withInput": "…{instruction}…{input}…", "withoutInput": "…{instruction}…"}`.
 *
 * @throws InputError for an unknown name, an unreadable file, an unknown placeholder or one that is missing.
 */
export async function loadTemplate(nameOrPath: string): Promise<TextTemplate>;
/**
 * The same, or a template of chats: `chat`, the model's own, `chatml` or `zephyr`, or a file in Jinja, `*.jinja`.
 *
 * @param tokenizer The model's.
 */
export async function loadTemplate(nameOrPath: string, tokenizer: Tokenizer, turns?: TurnRule): Promise<Template>;
export async function loadTemplate(
  nameOrPath: string,
  tokenizer?: Tokenizer,
  turns: TurnRule = "all",
): Promise<Template> {
  if (namesChatTemplate(nameOrPath)) {
    if (tokenizer) return await loadChatTemplate(nameOrPath, tokenizer, turns);
    throw new InputError(`Cannot use the template "${nameOrPath}"`, "no model is given, whose special tokens it needs");
  }
  const builtIn = listTemplates().find(({ name }) => name === nameOrPath);
  if (builtIn) return builtIn;
  const attempt = `Cannot use the template "${nameOrPath}"`;
  const names = [...listTemplates().map(({ name }) => name), ...namedChatTemplates.keys()].map((name) => `"${name}"`);
  let file: unknown;
  try {
    const bytes = await readRegularFile(nameOrPath, MAX_TEMPLATE_BYTES);
    file = parseStrictJson(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    const problem = cause instanceof InputError ? cause.problems.join() : reason(cause);
    throw new InputError(
      attempt,
      `${problem}; use ${names.join(", ")}, "chat" or a file of withInput and withoutInput in JSON, or in Jinja`,
      {
        cause,
      },
    );
  }
  return parseTemplate(nameOrPath, file, attempt);
}

function parseTemplate(name: string, file: unknown, attempt: string): TextTemplate {
  const { withInput, withoutInput } = (typeof file === "object" && file !== null ? file : {}) as Record<
    string,
    unknown
  >;
  const problems = templateProblems({ withInput, withoutInput });
  if (problems.length > 0) throw new InputError(attempt, problems);
  return { name: basename(name), withInput: withInput as string, withoutInput: withoutInput as string };
}
