/**
 * How the prompts of an adapter were written: `zerogate.json` beside its numbers. PEFT reads other files only. An adapter without
 * it, such as PEFT's own or one of 0.1.0, does not say.
 */
import { InputError } from "../../errors.ts";
import { isJsonObject } from "../../formats/json_fields.ts";

/** How an instruction record becomes the text in front of its answer. */
export interface Template {
  readonly name: string;
  /** Used if the record has an input; holds `{instruction}` and `{input}`. */
  readonly withInput: string;
  /** Used if the record's input is empty; holds `{instruction}`. */
  readonly withoutInput: string;
}

/**
 * What goes in front of a text: what the post-processor of tokenizer.json puts there, or the `bos_token` wherever one is named,
 * as all of 0.1.0 did.
 */
export const bosRules = ["tokenizer", "named"] as const;
/** What goes in front of a text: what tokenizer.json says, or any BOS that is named. */
export type BosRule = (typeof bosRules)[number];

/** How the prompts of an adapter are written. */
export interface PromptFormat {
  readonly template: Template;
  readonly bos: BosRule;
}

export const PROMPT_FORMAT = "zerogate.json";
const VERSION = 1;
const PLACEHOLDER = /\{([A-Za-z_]\w*)\}/g;

/** What is wrong with the texts of a template: each placeholder that is needed has to appear, and nothing else in braces. */
export function templateProblems({ withInput, withoutInput }: Readonly<Record<string, unknown>>): string[] {
  return [
    ...textProblems("withInput", withInput, ["instruction", "input"]),
    ...textProblems("withoutInput", withoutInput, ["instruction"]),
  ];
}

export function serializePromptFormat({ template, bos }: PromptFormat): string {
  const { name, withInput, withoutInput } = template;
  return `${JSON.stringify({ version: VERSION, template: { name, withInput, withoutInput }, bos }, undefined, 2)}\n`;
}

/** Reads what `serializePromptFormat` wrote; `path` is for messages. Throws an `InputError` with everything that is wrong. */
export function parsePromptFormat(json: unknown, path: string): PromptFormat {
  const fail = (problems: string | string[]) => new InputError(`Cannot use ${path}`, problems);
  if (!isJsonObject(json)) throw fail("it is not an object, {version, template, bos} is needed");
  const { version, template, bos, ...others } = json;
  if (version !== VERSION) {
    throw fail(`its version is ${JSON.stringify(version)}, this program reads ${VERSION}: use the one that wrote it`);
  }
  const problems = Object.keys(others).map((key) => `${JSON.stringify(key)} is no key of it`);
  const rule = bosRules.find((name) => name === bos);
  if (!rule) problems.push(`bos is ${JSON.stringify(bos)}, one of ${bosRules.join(", ")} is needed`);
  const { name, withInput, withoutInput } = isJsonObject(template) ? template : {};
  if (typeof name !== "string") problems.push("template.name is missing, a text is needed");
  problems.push(...templateProblems({ withInput, withoutInput }).map((problem) => `template.${problem}`));
  if (!rule || problems.length > 0) throw fail(problems);
  const texts = { withInput: withInput as string, withoutInput: withoutInput as string };
  return { template: { name: name as string, ...texts }, bos: rule };
}

/** Whether both write the same prompts; names of templates do not count. */
export function isSameTemplate(a: Template, b: Template): boolean {
  return a.withInput === b.withInput && a.withoutInput === b.withoutInput;
}

function textProblems(field: string, text: unknown, needed: readonly string[]): string[] {
  if (typeof text !== "string")
    return [`${field} is ${text === undefined ? "missing" : typeof text}, a text is needed`];
  const found = new Set(Array.from(text.matchAll(PLACEHOLDER), ([, name]) => name));
  const missing = needed.filter((name) => !found.has(name));
  const unknown = [...found].filter((name) => !needed.includes(name));
  return [
    ...missing.map((name) => `${field} has no {${name}}, it is needed`),
    ...unknown.map(
      (name) => `${field} holds {${name}}, only ${needed.map((n) => `{${n}}`).join(" and ")} can be filled in`,
    ),
  ];
}
